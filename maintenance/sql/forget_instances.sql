-- Purpose: drop the watermarks of api processes that are gone: nothing merged for a month, nothing buffered.
--   A process that lives on all the same reads from the primary once more and starts a new row.
-- Parameters: $1 timestamptz, a month ago.
-- Locks: row locks on what is deleted.
DELETE FROM buffer_watermarks AS w
WHERE w.merged_at < $1
    AND NOT EXISTS (SELECT FROM impression_buffer AS b WHERE b.instance = w.instance)
