-- Purpose: where an upload waits until it is whole; the session's own, so no other upload sees it.
-- Parameters: none.
-- Locks: none that others notice.
CREATE TEMP TABLE audience_upload (user_id text COLLATE "C" NOT NULL)
