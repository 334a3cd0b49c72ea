-- Purpose: delete a user's events from the quarantine, which is small or empty.
-- Parameters: $1 text, the user.
-- Locks: row locks on what is deleted.
DELETE FROM impression_quarantine WHERE user_id = $1
