-- Purpose: the members whom the upload names.
-- Parameters: $1 campaign id.
-- Locks: reads only.
INSERT INTO pg_temp.audience_change (place, user_id)
SELECT row_number() OVER (ORDER BY member.user_id), member.user_id
FROM audience_members AS member
WHERE member.campaign_id = $1::integer
    AND EXISTS (SELECT FROM pg_temp.audience_upload AS upload WHERE upload.user_id = member.user_id)
