-- Purpose: keep what came, if nobody else has gone on with the upload meanwhile; else no row.
-- Parameters: $1 id, $2 bytes received before, $3 and now, $4 their CRC-32, $5 where the reading stands, $6 the user ids
-- of these bytes as text for COPY, $7 seconds that the upload is kept from now on.
-- Locks: the row.
WITH moved AS (
    UPDATE audience_uploads
    SET received_bytes = $3,
        crc32 = $4,
        reader = $5,
        expires_at = now() + make_interval(secs => $7::float8)
    WHERE id = $1 AND received_bytes = $2 AND result IS NULL AND expires_at > now()
    RETURNING *
), kept AS (
    INSERT INTO audience_upload_parts (upload_id, end_bytes, user_ids)
    SELECT id, received_bytes, $6::text FROM moved WHERE $6::text <> ''
)
SELECT * FROM moved
