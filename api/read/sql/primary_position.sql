-- Purpose: how far the primary's log reaches. A standby refuses to say, which tells it from a primary.
-- Locks: none.
SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS flushed
