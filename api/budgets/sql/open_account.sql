-- Purpose: count what was shown before the budget became hard, once: when every process knows that it is hard,
--   and all that they had taken before is merged.
-- Parameters: $1 integer, the campaign; $2 interval, after which every process knows. The caller holds the account.
-- Locks: the days' rows of budget_spent.
-- Returns whether it is done.
WITH opened AS (
    UPDATE budget_accounts AS a
    SET opened = true
    FROM merge_ticks AS t
    WHERE a.campaign_id = $1
        AND (a.hard_since = '-infinity' OR least(t.merged_at, clock_timestamp()) > a.hard_since + $2::interval)
    RETURNING a.campaign_id
),
counted AS (
    INSERT INTO budget_spent (campaign_id, day, units)
    SELECT d.campaign_id, d.day, sum(d.events)
    FROM campaign_daily_counts AS d
    INNER JOIN opened AS o ON o.campaign_id = d.campaign_id
    WHERE d.kind = 1
    GROUP BY d.campaign_id, d.day
)
SELECT EXISTS (SELECT FROM opened) AS opened
