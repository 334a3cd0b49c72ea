-- Purpose: tell the api processes whom to forget, in the moment of the commit.
-- Parameters: $1 text, the user.
-- Locks: the notification queue's, for the moment of the commit.
SELECT pg_notify('tayang_erasures', $1)
