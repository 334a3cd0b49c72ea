-- Purpose: add what one process has counted to the day that it is now in each campaign's zone.
-- Parameters: $1 integer[], campaigns; $2 text[], reasons; $3 bigint[], requests; $4 timestamptz, now. No pair of
--   campaign and reason twice. A campaign that is gone is passed over.
-- Locks: the rows, in key order, so that processes wait for each other and never in a circle.
INSERT INTO campaign_no_shows AS n (day, campaign_id, reason, requests)
SELECT ($4::timestamptz AT TIME ZONE c.timezone)::date AS day, c.id, k.reason COLLATE "C" AS reason, k.requests
FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS k (campaign_id, reason, requests)
JOIN campaigns AS c ON c.id = k.campaign_id
ORDER BY day, c.id, reason
ON CONFLICT (day, campaign_id, reason) DO UPDATE SET requests = n.requests + excluded.requests
