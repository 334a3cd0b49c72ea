-- Purpose: who is to be added or removed, numbered, so that it can be done in slices.
-- Parameters: none.
-- Locks: none that others notice.
CREATE TEMP TABLE audience_change (place bigint PRIMARY KEY, user_id text COLLATE "C" NOT NULL) ON COMMIT DROP
