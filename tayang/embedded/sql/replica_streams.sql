-- Purpose: does the replica receive WAL through its slot? (A refused one stays in state "startup".)
-- Parameters: slot.
-- Locks: none.
SELECT EXISTS (
    SELECT
    FROM pg_replication_slots AS s
    JOIN pg_stat_replication AS r ON r.pid = s.active_pid
    WHERE s.slot_name = %(slot)s AND r.state IN ('catchup', 'streaming')
);
