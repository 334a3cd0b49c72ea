-- Purpose: make the replica's slot if there is none; returns a row when it made one.
-- Parameters: slot.
-- Locks: none that others wait for. Keeps WAL from now on, up to max_slot_wal_keep_size.
SELECT pg_create_physical_replication_slot(%(slot)s, true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(slot)s);
