-- Purpose: the size of each buffer table, merged rows included, and which table is filled now.
-- Locks: none beyond ACCESS SHARE.
SELECT
    t.active_buffer,
    pg_relation_size('impression_buffer_0') AS bytes_0,
    pg_relation_size('impression_buffer_1') AS bytes_1
FROM merge_ticks AS t
