-- Purpose: take a user off every campaign's list.
-- Parameters: $1 text, the user.
-- Locks: row locks on what is deleted, in one partition.
DELETE FROM audience_members WHERE user_id = $1
