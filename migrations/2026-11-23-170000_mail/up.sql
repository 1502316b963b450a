-- Mailed tickets also carry a short code, found by the handle of whoever asked; mails wait in an outbox.

ALTER TABLE security_tickets ADD COLUMN handle VARCHAR(43) NULL;
ALTER TABLE security_tickets ADD COLUMN code_hash VARCHAR(43) NULL;
CREATE INDEX security_tickets_by_handle ON security_tickets (handle);

-- `body` is encrypted, and empty once the mail is sent. MySQL's TEXT alone holds no more than 64 KiB.
CREATE TABLE security_outbox (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    kind VARCHAR(64) NOT NULL,
    recipient VARCHAR(254) NULL,
    state VARCHAR(16) NOT NULL,
    body TEXT /*! (4000000) */ NULL,
    attempts BIGINT NOT NULL,
    lease VARCHAR(36) NULL,
    due_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT NULL,
    error VARCHAR(255) NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX security_outbox_by_state ON security_outbox (state, due_at);
CREATE INDEX security_outbox_by_age ON security_outbox (created_at);
CREATE INDEX security_outbox_by_recipient ON security_outbox (recipient);
