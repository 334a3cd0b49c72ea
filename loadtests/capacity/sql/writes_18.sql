-- Purpose: writes and syncs of the WAL since the statistics began, and writes of tables. From PostgreSQL 18 on.
-- Locks: none.
SELECT
    sum(i.fsyncs) FILTER (WHERE i.object = 'wal')::bigint AS wal_syncs,
    sum(i.writes) FILTER (WHERE i.object = 'wal')::bigint AS wal_writes,
    (SELECT w.wal_fpi FROM pg_stat_wal AS w) AS wal_images,
    coalesce(sum(i.writes) FILTER (WHERE i.object = 'relation'), 0)::bigint AS page_writes
FROM pg_stat_io AS i
