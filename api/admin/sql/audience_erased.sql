-- Purpose: users who were erased after an upload had begun are not listed by it.
-- Parameters: $1 campaign id; $2 timestamptz, when the upload began.
-- Locks: row locks on what is deleted.
DELETE FROM audience_members
WHERE campaign_id = $1
    AND EXISTS (SELECT FROM erasures WHERE erased_at >= $2)
    AND user_id IN (
        SELECT u.user_id
        FROM pg_temp.audience_upload AS u
        CROSS JOIN erasure_secret AS s
        JOIN erasures AS e ON e.user_hash = hashtextextended(u.user_id, s.secret)
        WHERE e.erased_at >= $2
    )
