-- Purpose: drop the watermarks of api processes that are gone: nothing merged for a day and nothing buffered.
--   A process that lives on merely starts a new row with its next merge.
-- Parameters: $1 timestamptz, one day ago.
-- Locks: row locks on what is deleted.
DELETE FROM buffer_watermarks AS w
WHERE w.merged_at < $1
    AND NOT EXISTS (SELECT FROM impression_buffer AS b WHERE b.instance = w.instance)
