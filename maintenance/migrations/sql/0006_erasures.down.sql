-- Purpose: back to the schema of 0005. Phones that send old impressions of erased users bring them back from now on.
-- Locks: ACCESS EXCLUSIVE on audit_log, for a moment, and on what goes.
DROP TABLE erasures;
DROP FUNCTION audit_erasure();
DROP TABLE erasure_secret;
-- Not checked: entries about erasures stay.
ALTER TABLE audit_log
    DROP CONSTRAINT audit_log_kind_check,
    ADD CONSTRAINT audit_log_kind_check
    CHECK (kind IN ('campaign', 'audience', 'policy', 'test_user', 'key')) NOT VALID;
