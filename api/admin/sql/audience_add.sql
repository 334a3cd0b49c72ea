-- Purpose: insert the uploaded users who are not members yet; the others cost no write.
-- Parameters: $1 campaign id.
-- Locks: the new rows.
INSERT INTO audience_members (user_id, campaign_id)
SELECT DISTINCT upload.user_id, $1::integer
FROM pg_temp.audience_upload AS upload
WHERE NOT EXISTS (
    SELECT FROM audience_members AS member
    WHERE member.user_id = upload.user_id AND member.campaign_id = $1
)
ON CONFLICT DO NOTHING
