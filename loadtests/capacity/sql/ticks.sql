-- Purpose: how many merges there have been.
-- Locks: none beyond ACCESS SHARE.
SELECT tick FROM merge_ticks
