-- Purpose: open a resumable upload, unless enough of all campaigns are open; the caller holds upload_lock.
-- Parameters: $1 campaign id, $2 mode, $3 the file's bytes or null, $4 where its reading stands, $5 seconds that it is
-- kept, $6 at most so many open.
-- Locks: the new row; KEY SHARE on the campaign.
INSERT INTO audience_uploads (campaign_id, mode, file_bytes, reader, expires_at)
SELECT $1::integer, $2::text, $3::bigint, $4::jsonb, now() + make_interval(secs => $5::float8)
WHERE (SELECT count(*) FROM audience_uploads WHERE result IS NULL AND expires_at > now()) < $6::integer
RETURNING *
