-- Purpose: forget why requests were not shown campaigns, beyond the retention; the oldest days first.
-- Parameters: $1 date, the oldest day that is kept; $2 integer, at most so many rows.
-- Locks: row locks on what is deleted; nobody writes such old days.
DELETE FROM campaign_no_shows
WHERE ctid = ANY (
    ARRAY(SELECT n.ctid FROM campaign_no_shows AS n WHERE n.day < $1 ORDER BY n.day LIMIT $2)
)
