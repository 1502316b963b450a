-- Ways to prove who one is beside the password: authenticator apps, phones, mailboxes; recovery codes; and
-- browsers in which the second factor is not asked for.

-- `secret` is the encrypted seed of an authenticator, `identity` a phone that its owner signs in with,
-- `usages` 1 for sign-in, 2 for the second step, 3 for both.
CREATE TABLE security_factors (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(64) NOT NULL,
    usages BIGINT NOT NULL,
    secret VARCHAR(255) NULL,
    phone VARCHAR(20) NULL,
    identity VARCHAR(20) NULL UNIQUE,
    last_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_factors_by_user ON security_factors (user_id);

CREATE TABLE security_recovery_codes (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    code_hash VARCHAR(43) NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_recovery_codes_by_user ON security_recovery_codes (user_id);

CREATE TABLE security_devices (
    series VARCHAR(43) NOT NULL PRIMARY KEY,
    id VARCHAR(36) NOT NULL UNIQUE,
    user_id VARCHAR(36) NOT NULL,
    user_uniquifier VARCHAR(36) NOT NULL,
    token_hash VARCHAR(43) NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address VARCHAR(64) NOT NULL,
    agent VARCHAR(255) NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_devices_by_user ON security_devices (user_id);
CREATE INDEX security_devices_by_expiry ON security_devices (expires_at);
