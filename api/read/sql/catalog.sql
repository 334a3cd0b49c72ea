-- Purpose: the live campaigns and the version they belong to, in one snapshot, and what delivery must know of
--   the others: whose budget is hard, who counts in which group of the policy; the policy; the test users.
-- Parameters: $1 integer[], $2 integer[], ids and versions of campaigns whose document is known already.
-- Locks: none beyond ACCESS SHARE.
SELECT
    (SELECT v.version FROM catalog_version AS v) AS version,
    ARRAY(SELECT c.id FROM campaigns AS c WHERE c.status = 'live' ORDER BY c.id) AS live,
    ARRAY(
        SELECT to_jsonb(c)
        FROM campaigns AS c
        LEFT JOIN unnest($1::integer[], $2::integer[]) AS known (id, version)
            ON known.id = c.id AND known.version = c.version
        WHERE c.status = 'live' AND known.id IS NULL
        ORDER BY c.id
    ) AS changed,
    ARRAY(SELECT a.campaign_id FROM budget_accounts AS a) AS hard_budget_ids,
    (SELECT p.document || jsonb_build_object('version', p.version) FROM policy AS p) AS policy,
    (SELECT jsonb_object_agg(c.id, c.tags) FROM campaigns AS c WHERE c.tags <> '[]') AS tags,
    ARRAY(SELECT c.id FROM campaigns AS c WHERE NOT c.counts_for_policy) AS uncounted,
    ARRAY(SELECT c.id FROM campaigns AS c WHERE c.exempt) AS exempt,
    ARRAY(SELECT t.user_id FROM test_users AS t) AS test_users
