-- Purpose: the upload is applied: its parts go, its result stays until it expires.
-- Parameters: $1 id, $2 result.
-- Locks: the row and its parts.
WITH gone AS (DELETE FROM audience_upload_parts WHERE upload_id = $1)
UPDATE audience_uploads SET result = $2 WHERE id = $1
