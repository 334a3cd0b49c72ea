-- Purpose: buffered impressions that no merge has taken yet.
-- Locks: none beyond ACCESS SHARE.
SELECT count(*)
FROM impression_buffer AS b
LEFT JOIN buffer_watermarks AS w ON w.instance = b.instance
WHERE b.seq > coalesce(w.seq, 0)
