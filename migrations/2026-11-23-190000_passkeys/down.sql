DROP INDEX security_tickets_by_purpose/*! ON security_tickets */;
DROP TABLE security_passkey_users;
DROP TABLE security_passkeys;
