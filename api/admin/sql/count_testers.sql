-- Purpose: how many test users there are.
-- Parameters: none.
-- Locks: reads only.
SELECT count(*) FROM test_users
