-- Purpose: bytes of WAL ever written, the full page images included.
-- Locks: none.
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes
