DROP TABLE security_social_accounts;
