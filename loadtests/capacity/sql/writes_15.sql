-- Purpose: writes and syncs of the WAL since the statistics began, and pages of tables written. PostgreSQL 15
--   to 17 count the WAL's here, and the tables' without those of backends.
-- Locks: none.
SELECT wal_sync AS wal_syncs, wal_write AS wal_writes, wal_fpi AS wal_images, NULL::bigint AS page_writes
FROM pg_stat_wal
