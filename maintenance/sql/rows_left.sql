-- Purpose: how many buffered rows wait to be merged.
-- Locks: none beyond ACCESS SHARE.
SELECT count(*)
FROM impression_buffer AS b
LEFT JOIN buffer_watermarks AS w ON w.instance = b.instance
WHERE b.seq > coalesce(w.seq, 0)
