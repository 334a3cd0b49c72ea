-- Purpose: back to the schema of 0004. All API keys are lost; the one in TAYANG_ADMIN_KEY goes on.
-- Locks: ACCESS EXCLUSIVE on what goes.
DROP TABLE api_key_secrets;
DROP TABLE api_keys;
DROP TABLE api_key_stamp;
DROP FUNCTION change_api_key_stamp();
