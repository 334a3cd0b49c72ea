-- Purpose: forget erasures from before which nothing can be merged any more.
-- Parameters: $1 timestamptz, the oldest that is kept.
-- Locks: row locks on what is deleted.
DELETE FROM erasures WHERE erased_at < $1 AND done_at IS NOT NULL
