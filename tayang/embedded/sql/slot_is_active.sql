-- Purpose: does a replica or a base backup still use the slot?
-- Parameters: slot.
-- Locks: none.
SELECT coalesce(bool_or(active), false)
FROM pg_replication_slots
WHERE slot_name = %(slot)s;
