-- What was given or begun in a session names it, as refresh tokens do: by the digests of what the browser's two
-- cookies hold. So it ends with the session, and also where the session has run out before. An empty
-- `session_hash` of a ticket says that a signed-in caller without a session began it.
ALTER TABLE security_tokens ADD COLUMN session_hash VARCHAR(43) NULL;
ALTER TABLE security_tokens ADD COLUMN remember_series VARCHAR(43) NULL;
CREATE INDEX security_tokens_by_session ON security_tokens (session_hash);
CREATE INDEX security_tokens_by_remember ON security_tokens (remember_series);

ALTER TABLE security_tickets ADD COLUMN session_hash VARCHAR(43) NULL;
ALTER TABLE security_tickets ADD COLUMN remember_series VARCHAR(43) NULL;
CREATE INDEX security_tickets_by_session ON security_tickets (session_hash);
CREATE INDEX security_tickets_by_remember ON security_tickets (remember_series);

-- The sign-in in which a trusted device was last used.
ALTER TABLE security_devices ADD COLUMN session_hash VARCHAR(43) NULL;
ALTER TABLE security_devices ADD COLUMN remember_series VARCHAR(43) NULL;
CREATE INDEX security_devices_by_session ON security_devices (session_hash);
CREATE INDEX security_devices_by_remember ON security_devices (remember_series);
