-- Purpose: one test user.
-- Parameters: $1 user id.
-- Locks: reads only.
SELECT user_id, note, created_at
FROM test_users
WHERE user_id = $1
