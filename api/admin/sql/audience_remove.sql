-- Purpose: take a slice of those who were found off the list.
-- Parameters: $1 campaign id; places above $2, up to $3.
-- Locks: the deleted rows.
DELETE FROM audience_members AS member
USING pg_temp.audience_change AS change
WHERE change.place > $2::bigint AND change.place <= $3::bigint
    AND member.user_id = change.user_id AND member.campaign_id = $1::integer
