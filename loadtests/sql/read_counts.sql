-- Purpose: read all counts of some users, so that their pages are in memory as on a server that has run for long.
-- Parameters: users (text[]).
-- Locks: none beyond ACCESS SHARE.
SELECT count(c.recent)
FROM unnest(%(users)s::text[]) AS u (user_id)
INNER JOIN user_campaign_counts AS c ON c.user_id = u.user_id
