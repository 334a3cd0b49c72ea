-- Purpose: name the buffer table that flushers fill from now on. They learn of it with their next snapshot.
-- Parameters: $1 smallint, the table's number.
-- Locks: the one row of merge_ticks.
UPDATE merge_ticks SET active_buffer = $1
