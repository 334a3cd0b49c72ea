-- Purpose: the newest merge whose events are counted.
-- Parameters: none.
-- Locks: reads only.
SELECT merged_at FROM merge_ticks
