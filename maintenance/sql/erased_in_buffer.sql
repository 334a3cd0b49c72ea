-- Purpose: of which erased users does a buffer table still hold a row from before, merged or not?
-- Parameters: none.
-- Locks: none beyond ACCESS SHARE.
SELECT DISTINCT e.user_hash
FROM impression_buffer AS b
INNER JOIN erasures AS e
    ON e.user_hash = hashtextextended(b.user_id, (SELECT s.secret FROM erasure_secret AS s))
    AND b.impression_id < e.before_id
