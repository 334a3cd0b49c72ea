-- Purpose: the live campaigns and the version they belong to, in one snapshot.
-- Locks: none beyond ACCESS SHARE.
SELECT
    (SELECT v.version FROM catalog_version AS v) AS version,
    ARRAY(SELECT to_jsonb(c) FROM campaigns AS c WHERE c.status = 'live' ORDER BY c.id) AS campaigns
