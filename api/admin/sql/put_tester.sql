-- Purpose: a new test user, or a new note on one.
-- Parameters: $1 user id, $2 note.
-- Locks: the user's row; catalog_version's row until commit, through the trigger.
INSERT INTO test_users (user_id, note)
VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET note = excluded.note
RETURNING user_id, note, created_at
