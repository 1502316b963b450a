-- A private note of an account, at most one.
CREATE TABLE security_notes (
    user_id VARCHAR(36) NOT NULL PRIMARY KEY,
    note VARCHAR(500) NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
