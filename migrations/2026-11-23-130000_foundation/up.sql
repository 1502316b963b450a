-- One tree for SQLite, PostgreSQL and MySQL/MariaDB. Ids come from the application (UUIDv7), times are
-- milliseconds since 1970, and each table ends with a collation that only MySQL reads, since its default
-- one takes "JOSÉ@x.de " for "jose@x.de".

CREATE TABLE users (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    email VARCHAR(254) NOT NULL,
    email_key VARCHAR(254) NOT NULL UNIQUE,
    username VARCHAR(255) NULL,
    username_key VARCHAR(255) NULL UNIQUE,
    username_skeleton VARCHAR(255) NULL UNIQUE,
    password_hash VARCHAR(1024) NULL,
    active BOOLEAN NOT NULL,
    confirmed_at BIGINT NULL,
    uniquifier VARCHAR(36) NOT NULL,
    token_uniquifier VARCHAR(36) NOT NULL,
    must_change_password BOOLEAN NOT NULL,
    password_changed_at BIGINT NULL,
    sign_in_count BIGINT NOT NULL,
    current_sign_in_at BIGINT NULL,
    current_sign_in_from VARCHAR(64) NULL,
    last_sign_in_at BIGINT NULL,
    last_sign_in_from VARCHAR(64) NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE roles (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    name VARCHAR(191) NOT NULL UNIQUE,
    description VARCHAR(1024) NULL,
    created_at BIGINT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE role_permissions (
    role_id VARCHAR(36) NOT NULL,
    permission VARCHAR(191) NOT NULL,
    PRIMARY KEY (role_id, permission),
    FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE user_roles (
    user_id VARCHAR(36) NOT NULL,
    role_id VARCHAR(36) NOT NULL,
    PRIMARY KEY (user_id, role_id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX user_roles_by_role ON user_roles (role_id);

CREATE TABLE security_sessions (
    token_hash VARCHAR(43) NOT NULL PRIMARY KEY,
    id VARCHAR(36) NOT NULL UNIQUE,
    user_id VARCHAR(36) NOT NULL,
    user_uniquifier VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    grace_until BIGINT NOT NULL,
    methods BIGINT NOT NULL,
    address VARCHAR(64) NOT NULL,
    agent VARCHAR(255) NOT NULL,
    series VARCHAR(43) NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_sessions_by_user ON security_sessions (user_id);
CREATE INDEX security_sessions_by_expiry ON security_sessions (expires_at);
CREATE INDEX security_sessions_by_series ON security_sessions (series);

CREATE TABLE security_remember (
    series VARCHAR(43) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    user_uniquifier VARCHAR(36) NOT NULL,
    token_hash VARCHAR(43) NOT NULL,
    previous_hash VARCHAR(43) NULL,
    rotated_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    methods BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_remember_by_user ON security_remember (user_id);
CREATE INDEX security_remember_by_expiry ON security_remember (expires_at);

CREATE TABLE security_tokens (
    token_hash VARCHAR(43) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    user_uniquifier VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    methods BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_tokens_by_user ON security_tokens (user_id);
CREATE INDEX security_tokens_by_expiry ON security_tokens (expires_at);

CREATE TABLE security_tickets (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    purpose VARCHAR(32) NOT NULL,
    secret_hash VARCHAR(43) NOT NULL UNIQUE,
    user_id VARCHAR(36) NULL,
    bound_to VARCHAR(43) NULL,
    payload TEXT NOT NULL,
    attempts_left BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_tickets_by_user ON security_tickets (user_id, purpose);
CREATE INDEX security_tickets_by_expiry ON security_tickets (expires_at);

CREATE TABLE security_failures (
    bucket VARCHAR(43) NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    locked_until BIGINT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_failures_by_start ON security_failures (started_at);
