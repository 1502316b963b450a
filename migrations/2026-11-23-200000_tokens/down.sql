DROP TABLE security_api_keys;
DROP TABLE security_refresh_families;
