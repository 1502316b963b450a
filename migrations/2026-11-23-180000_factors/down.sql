DROP TABLE security_devices;
DROP TABLE security_recovery_codes;
DROP TABLE security_factors;
