-- Purpose: delete the members whom the upload doesn't name.
-- Parameters: $1 campaign id.
-- Locks: the deleted rows.
DELETE FROM audience_members AS member
WHERE member.campaign_id = $1::integer
    AND NOT EXISTS (SELECT FROM pg_temp.audience_upload AS upload WHERE upload.user_id = member.user_id)
