//! The crate's tables and columns. An application may add columns to `users`: we name ours, never `*`.

diesel::table! {
    users (id) {
        id -> Text,
        email -> Text,
        email_key -> Text,
        username -> Nullable<Text>,
        username_key -> Nullable<Text>,
        username_skeleton -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        active -> Bool,
        confirmed_at -> Nullable<BigInt>,
        uniquifier -> Text,
        token_uniquifier -> Text,
        must_change_password -> Bool,
        password_changed_at -> Nullable<BigInt>,
        sign_in_count -> BigInt,
        current_sign_in_at -> Nullable<BigInt>,
        current_sign_in_from -> Nullable<Text>,
        last_sign_in_at -> Nullable<BigInt>,
        last_sign_in_from -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    roles (id) {
        id -> Text,
        name -> Text,
        description -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    role_permissions (role_id, permission) {
        role_id -> Text,
        permission -> Text,
    }
}

diesel::table! {
    user_roles (user_id, role_id) {
        user_id -> Text,
        role_id -> Text,
    }
}

diesel::table! {
    security_sessions (token_hash) {
        token_hash -> Text,
        id -> Text,
        user_id -> Text,
        user_uniquifier -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        authenticated_at -> BigInt,
        grace_until -> BigInt,
        methods -> BigInt,
        address -> Text,
        agent -> Text,
        series -> Nullable<Text>,
    }
}

diesel::table! {
    security_remember (series) {
        series -> Text,
        user_id -> Text,
        user_uniquifier -> Text,
        token_hash -> Text,
        previous_hash -> Nullable<Text>,
        rotated_at -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        authenticated_at -> BigInt,
        methods -> BigInt,
    }
}

diesel::table! {
    security_tokens (token_hash) {
        token_hash -> Text,
        user_id -> Text,
        user_uniquifier -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        authenticated_at -> BigInt,
        methods -> BigInt,
        series -> Nullable<Text>,
        session_hash -> Nullable<Text>,
        remember_series -> Nullable<Text>,
    }
}

diesel::table! {
    security_refresh_families (series) {
        series -> Text,
        id -> Text,
        user_id -> Text,
        user_uniquifier -> Text,
        token_hash -> Text,
        previous_hash -> Nullable<Text>,
        rotated_at -> BigInt,
        created_at -> BigInt,
        idle_until -> BigInt,
        absolute_until -> BigInt,
        authenticated_at -> BigInt,
        methods -> BigInt,
        address -> Text,
        agent -> Text,
        session_hash -> Nullable<Text>,
        remember_series -> Nullable<Text>,
    }
}

diesel::table! {
    security_api_keys (id) {
        id -> Text,
        user_id -> Text,
        key_hash -> Text,
        name -> Text,
        permissions -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        last_used_from -> Nullable<Text>,
    }
}

diesel::table! {
    security_tickets (id) {
        id -> Text,
        purpose -> Text,
        secret_hash -> Text,
        user_id -> Nullable<Text>,
        bound_to -> Nullable<Text>,
        payload -> Text,
        attempts_left -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
        handle -> Nullable<Text>,
        code_hash -> Nullable<Text>,
        session_hash -> Nullable<Text>,
        remember_series -> Nullable<Text>,
    }
}

diesel::table! {
    security_outbox (id) {
        id -> Text,
        kind -> Text,
        recipient -> Nullable<Text>,
        state -> Text,
        body -> Nullable<Text>,
        attempts -> BigInt,
        lease -> Nullable<Text>,
        due_at -> BigInt,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    security_factors (id) {
        id -> Text,
        user_id -> Text,
        kind -> Text,
        name -> Text,
        usages -> BigInt,
        secret -> Nullable<Text>,
        phone -> Nullable<Text>,
        identity -> Nullable<Text>,
        last_step -> BigInt,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    security_passkeys (factor_id) {
        factor_id -> Text,
        credential_hash -> Text,
        credential -> Text,
        verifies -> Bool,
        aaguid -> Text,
        transports -> Text,
        backup_eligible -> Bool,
        backed_up -> Bool,
        suspect_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    security_passkey_users (user_id) {
        user_id -> Text,
        handle -> Text,
    }
}

diesel::table! {
    security_recovery_codes (id) {
        id -> Text,
        user_id -> Text,
        code_hash -> Text,
        created_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    security_devices (series) {
        series -> Text,
        id -> Text,
        user_id -> Text,
        user_uniquifier -> Text,
        token_hash -> Text,
        created_at -> BigInt,
        last_used_at -> BigInt,
        expires_at -> BigInt,
        address -> Text,
        agent -> Text,
        session_hash -> Nullable<Text>,
        remember_series -> Nullable<Text>,
    }
}

diesel::table! {
    security_social_accounts (id) {
        id -> Text,
        user_id -> Text,
        provider -> Text,
        subject -> Text,
        issuer -> Text,
        label -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    security_failures (bucket) {
        bucket -> Text,
        started_at -> BigInt,
        failures -> BigInt,
        locked_until -> BigInt,
    }
}

diesel::joinable!(user_roles -> users (user_id));
diesel::joinable!(user_roles -> roles (role_id));
diesel::joinable!(role_permissions -> roles (role_id));
diesel::joinable!(security_sessions -> users (user_id));
diesel::joinable!(security_tokens -> users (user_id));
diesel::joinable!(security_remember -> users (user_id));
diesel::joinable!(security_refresh_families -> users (user_id));
diesel::joinable!(security_api_keys -> users (user_id));
diesel::joinable!(security_social_accounts -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(
    users,
    roles,
    role_permissions,
    user_roles,
    security_sessions,
    security_remember,
    security_tokens,
    security_refresh_families,
    security_api_keys,
    security_social_accounts,
    security_tickets,
);
