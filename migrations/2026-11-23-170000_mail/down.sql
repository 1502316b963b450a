DROP TABLE security_outbox;
DROP INDEX security_tickets_by_handle /*! ON security_tickets */;
ALTER TABLE security_tickets DROP COLUMN code_hash;
ALTER TABLE security_tickets DROP COLUMN handle;
