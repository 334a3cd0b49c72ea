-- Purpose: spend the units of popups that were shown. A lease that is closed, or is another campaign's, spends
--   nothing; an impression that has spent its unit already spends no other.
-- Parameters: $1 uuid[], the impressions; $2 integer[], their leases; $3 integer[], their campaigns.
-- Locks: the leases' rows, in order, until commit.
-- Returns the impressions whose lease is open.
WITH open AS MATERIALIZED (
    SELECT l.id, l.campaign_id
    FROM budget_leases AS l
    WHERE l.id = ANY ($2::integer[])
    ORDER BY l.id
    FOR UPDATE
),
shown AS MATERIALIZED (
    SELECT DISTINCT asked.impression_id, asked.lease_id
    FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS asked (impression_id, lease_id, campaign_id)
    INNER JOIN open ON open.id = asked.lease_id AND open.campaign_id = asked.campaign_id
),
fresh AS (
    INSERT INTO budget_uses (impression_id, lease_id)
    SELECT impression_id, lease_id FROM shown
    ON CONFLICT DO NOTHING
    RETURNING lease_id
),
counted AS (
    UPDATE budget_leases AS l
    SET used = l.used + spent.units
    FROM (SELECT lease_id, count(*) AS units FROM fresh GROUP BY lease_id) AS spent
    WHERE l.id = spent.lease_id
)
SELECT impression_id FROM shown
