-- Purpose: drop the replica's slot if the primary has removed WAL that the replica needs.
-- Parameters: slot.
-- Locks: none that others wait for.
SELECT pg_drop_replication_slot(slot_name)
FROM pg_replication_slots
WHERE slot_name = %(slot)s AND wal_status = 'lost';
