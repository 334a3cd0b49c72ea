-- Purpose: does one buffer table hold a row that is not merged? (The caller names the other table too.)
-- Locks: none beyond the caller's ACCESS EXCLUSIVE on that table.
SELECT EXISTS (
    SELECT FROM impression_buffer_0 AS b
    LEFT JOIN buffer_watermarks AS w ON w.instance = b.instance
    WHERE b.seq > coalesce(w.seq, 0)
)
