-- Purpose: delete from one partition of the log what erased users were shown before. (The caller names the partition.)
-- Parameters: $1 bigint[], the users' hashes; $2 uuid[], for each of them: ids below this.
-- Locks: row locks on what is deleted; the merge only adds rows.
-- Plan: reads the whole partition once, for all these users together.
WITH gone AS (
    DELETE FROM impressions AS i
    USING unnest($1::bigint[], $2::uuid[]) AS e (user_hash, before_id)
    WHERE e.user_hash = hashtextextended(i.user_id, (SELECT s.secret FROM erasure_secret AS s))
        AND i.impression_id < e.before_id
    RETURNING e.user_hash
)
SELECT gone.user_hash, count(*) AS removed FROM gone GROUP BY gone.user_hash
