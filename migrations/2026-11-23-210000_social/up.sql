-- Accounts at social login providers that open accounts here.

-- `subject` names the account there for ever; `issuer` is who speaks for it, so that a provider of the same name at
-- another place opens nothing. `label` is what its owner knows it by.
CREATE TABLE security_social_accounts (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id VARCHAR(36) NOT NULL,
    provider VARCHAR(32) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    issuer VARCHAR(255) NOT NULL,
    label VARCHAR(255) NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NULL,
    UNIQUE (provider, issuer, subject),
    UNIQUE (user_id, provider),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
