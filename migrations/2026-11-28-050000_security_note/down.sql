DROP TABLE security_notes;
