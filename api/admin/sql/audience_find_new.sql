-- Purpose: the uploaded users who are not members yet, in the order of the key; the others cost no write.
-- Parameters: $1 campaign id.
-- Locks: reads only.
INSERT INTO pg_temp.audience_change (place, user_id)
SELECT row_number() OVER (ORDER BY named.user_id), named.user_id
FROM (SELECT DISTINCT upload.user_id FROM pg_temp.audience_upload AS upload) AS named
WHERE NOT EXISTS (
    SELECT FROM audience_members AS member
    WHERE member.user_id = named.user_id AND member.campaign_id = $1::integer
)
