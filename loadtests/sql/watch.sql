-- Purpose: what a long run must not let grow, one row: bytes of the buffer tables, and of the catalogs that
--   TRUNCATE, partitions and temporary tables write; the merge's tick, and the process that merges.
-- Locks: none beyond ACCESS SHARE.
SELECT
    pg_relation_size('impression_buffer_0') + pg_relation_size('impression_buffer_1') AS buffer_bytes,
    (
        SELECT sum(pg_total_relation_size(c.oid))::bigint
        FROM pg_class AS c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
    ) AS catalog_bytes,
    (SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'merge_ticks') AS dead_ticks,
    (SELECT tick FROM merge_ticks) AS tick,
    (
        SELECT min(a.pid)
        FROM pg_stat_activity AS a
        WHERE a.application_name = 'tayang merge'
    ) AS merger
