-- Purpose: back to the schema of 0004. All API keys are lost (the one in TAYANG_ADMIN_KEY goes on), and the audit log.
-- Locks: ACCESS EXCLUSIVE on campaigns, policy, test_users, and on what goes.
DROP TRIGGER campaigns_audited ON campaigns;
DROP TRIGGER policy_audited ON policy;
DROP TRIGGER test_users_audited ON test_users;
DROP TABLE api_key_secrets;
DROP TABLE api_keys;
DROP TABLE api_key_stamp;
DROP FUNCTION change_api_key_stamp();
DROP TABLE audit_log;
DROP FUNCTION audit_change();
DROP FUNCTION audit_actor();
