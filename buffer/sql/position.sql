-- Purpose: where the primary stands: the watermark of one instance, and the table to fill now.
--   On a server that is no primary it fails, so that a flusher never settles on one.
-- Parameters: $1 bigint, the instance.
-- Locks: none beyond ACCESS SHARE.
SELECT
    coalesce((SELECT w.seq FROM buffer_watermarks AS w WHERE w.instance = $1), 0) AS seq,
    t.active_buffer,
    pg_current_wal_flush_lsn() AS proof_of_primary
FROM merge_ticks AS t
