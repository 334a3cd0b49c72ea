-- Purpose: one page of campaigns by ascending id.
-- Parameters: $1 after this id, $2 at most so many, $3 status or null, $4 placement or null.
-- Locks: reads only.
SELECT *
FROM campaigns
WHERE id > $1
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR placement = $4)
ORDER BY id
LIMIT $2
