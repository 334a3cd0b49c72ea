-- Purpose: what the accounts of hard budgets say: units spent for good, and in open leases, used or not.
-- Parameters: $1 integer[], the campaigns; $2 date[], the day of each that is asked about.
-- Locks: none beyond ACCESS SHARE.
-- A campaign without an account is left out. Nothing is handed out before `opened`.
SELECT
    q.campaign_id,
    a.opened,
    s.ever + l.used_ever AS spent_ever,
    s.that_day + l.used_that_day AS spent_that_day,
    l.leased_ever,
    l.leased_that_day
FROM unnest($1::integer[], $2::date[]) AS q (campaign_id, day)
INNER JOIN budget_accounts AS a ON a.campaign_id = q.campaign_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(b.units), 0)::bigint AS ever,
        coalesce(sum(b.units) FILTER (WHERE b.day = q.day), 0)::bigint AS that_day
    FROM budget_spent AS b
    WHERE b.campaign_id = q.campaign_id
) AS s
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(b.used), 0)::bigint AS used_ever,
        coalesce(sum(b.used) FILTER (WHERE b.day = q.day), 0)::bigint AS used_that_day,
        coalesce(sum(b.units - b.used), 0)::bigint AS leased_ever,
        coalesce(sum(b.units - b.used) FILTER (WHERE b.day = q.day), 0)::bigint AS leased_that_day
    FROM budget_leases AS b
    WHERE b.campaign_id = q.campaign_id
) AS l
