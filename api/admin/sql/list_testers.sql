-- Purpose: one page of test users by ascending id.
-- Parameters: $1 after this id, $2 at most so many.
-- Locks: reads only.
SELECT user_id, note, created_at
FROM test_users
WHERE user_id > $1
ORDER BY user_id
LIMIT $2
