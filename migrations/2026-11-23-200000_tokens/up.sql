-- Refresh tokens and API keys.

-- A family is what one sign-in gave a program to go on with: the digest of its present refresh token, of the one
-- before, and when they changed. `session_hash` and `remember_series` name the session it was given in by what its
-- cookies hold, and go on naming it when that has run out: who signs out there ends the family.
CREATE TABLE security_refresh_families (
    series VARCHAR(43) NOT NULL PRIMARY KEY,
    id VARCHAR(36) NOT NULL UNIQUE,
    user_id VARCHAR(36) NOT NULL,
    user_uniquifier VARCHAR(36) NOT NULL,
    token_hash VARCHAR(43) NOT NULL,
    previous_hash VARCHAR(43) NULL,
    rotated_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    absolute_until BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    methods BIGINT NOT NULL,
    address VARCHAR(64) NOT NULL,
    agent VARCHAR(255) NOT NULL,
    session_hash VARCHAR(43) NULL,
    remember_series VARCHAR(43) NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_refresh_families_by_user ON security_refresh_families (user_id);
CREATE INDEX security_refresh_families_by_expiry ON security_refresh_families (idle_until);
CREATE INDEX security_refresh_families_by_session ON security_refresh_families (session_hash);
CREATE INDEX security_refresh_families_by_series ON security_refresh_families (remember_series);

-- The family that an authentication token came from, so that it ends with it.
ALTER TABLE security_tokens ADD COLUMN series VARCHAR(43) NULL;
CREATE INDEX security_tokens_by_series ON security_tokens (series);

-- `permissions` is a JSON list of what the key was given: what it may do is that of it which its owner still may.
CREATE TABLE security_api_keys (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    key_hash VARCHAR(43) NOT NULL UNIQUE,
    name VARCHAR(64) NOT NULL,
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NULL,
    last_used_at BIGINT NULL,
    last_used_from VARCHAR(64) NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_api_keys_by_user ON security_api_keys (user_id);
CREATE INDEX security_api_keys_by_expiry ON security_api_keys (expires_at);
