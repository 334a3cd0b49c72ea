-- Purpose: forget which impressions have spent a unit of a hard budget, once they can't be sent again. What was spent
--   is kept in budget_leases and budget_spent.
-- Parameters: $1 uuid, the least id (a UUIDv7) that is kept.
-- Locks: row locks on what is deleted.
DELETE FROM budget_uses WHERE impression_id < $1
