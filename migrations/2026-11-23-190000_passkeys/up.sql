-- Passkeys and security keys: what a row of `security_factors` of the kind `passkey` has beside, and the
-- random name under which authenticators know an account.

-- `credential` is the public key and what goes with it as JSON, `credential_hash` the digest of its id, which
-- is longer than an index takes. `verifies` says that the authenticator checks that it is its owner;
-- `suspect_at` is set when its counter went back, and from then on it opens nothing.
CREATE TABLE security_passkeys (
    factor_id VARCHAR(36) NOT NULL PRIMARY KEY,
    credential_hash VARCHAR(43) NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    verifies BOOLEAN NOT NULL,
    aaguid VARCHAR(36) NOT NULL,
    transports VARCHAR(64) NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backed_up BOOLEAN NOT NULL,
    suspect_at BIGINT NULL,
    FOREIGN KEY (factor_id) REFERENCES security_factors (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE security_passkey_users (
    user_id VARCHAR(36) NOT NULL PRIMARY KEY,
    handle VARCHAR(36) NOT NULL UNIQUE,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

-- Of the challenges of visitors the newest are kept.
CREATE INDEX security_tickets_by_purpose ON security_tickets (purpose, user_id, id);
