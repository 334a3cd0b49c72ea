-- Purpose: end recovery on a replica and wait up to 30 s until it takes writes.
-- Parameters: none.
-- Locks: none.
SELECT pg_promote(wait => true, wait_seconds => 30);
