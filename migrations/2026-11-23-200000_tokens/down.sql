DROP TABLE security_api_keys;
DROP INDEX security_tokens_by_series /*! ON security_tokens */;
ALTER TABLE security_tokens DROP COLUMN series;
DROP TABLE security_refresh_families;
