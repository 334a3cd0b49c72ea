-- Purpose: a test user's events count again.
-- Parameters: $1 user id.
-- Locks: the user's row; catalog_version's row until commit, through the trigger.
DELETE FROM test_users WHERE user_id = $1
