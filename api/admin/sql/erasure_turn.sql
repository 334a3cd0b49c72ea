-- Purpose: wait until the merge that is under way has ended, and keep the next one waiting until the erasure is committed.
-- Parameters: $1 bigint, MERGE_LOCK.
-- Locks: the merge's turn, to the end of the transaction.
SELECT pg_advisory_xact_lock($1)
