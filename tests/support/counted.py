"""Do the counts say what the log says? Asked of the database, in one snapshot."""

from typing import Final

import asyncpg

#: Each returns a row for every disagreement. Campaigns count their days in UTC here.
DISAGREEMENTS: Final = {
    "counts": """
        WITH logged AS (
            SELECT *, CASE WHEN kind IN (5, 7) THEN -campaign_id ELSE campaign_id END AS counted_id
            FROM impressions
        )
        SELECT user_id, campaign_id, l::text AS in_log, c::text AS counted
        FROM (
            SELECT
                user_id,
                counted_id AS campaign_id,
                ROW(
                    count(*) FILTER (WHERE kind IN (1, 5)),
                    count(*) FILTER (WHERE kind = 2),
                    count(*) FILTER (WHERE kind = 3),
                    count(*) FILTER (WHERE kind IN (4, 7)),
                    min(occurred_at) FILTER (WHERE kind IN (1, 5)),
                    max(occurred_at) FILTER (WHERE kind IN (1, 5)),
                    max(occurred_at) FILTER (WHERE kind = 2),
                    max(occurred_at) FILTER (WHERE kind = 3),
                    max(occurred_at) FILTER (WHERE kind IN (4, 7)),
                    coalesce((array_agg(occurred_at ORDER BY occurred_at DESC)
                        FILTER (WHERE kind IN (1, 5)))[1:64], '{}')
                ) AS l
            FROM logged GROUP BY 1, 2
        ) AS told
        FULL JOIN (
            SELECT user_id, campaign_id, ROW(
                total, clicks::bigint, dismissals::bigint, conversions::bigint, first_at, last_at,
                last_click_at, last_dismiss_at, last_convert_at, recent
            ) AS c
            FROM user_campaign_counts
        ) AS counted USING (user_id, campaign_id)
        WHERE l IS DISTINCT FROM c""",
    "sessions": """
        SELECT c.user_id, c.campaign_id, c.sessions
        FROM user_campaign_counts AS c
        CROSS JOIN LATERAL (
            SELECT count(i.session) AS any_session, array_agg(
                ROW(i.occurred_at, coalesce(i.session, 0)) ORDER BY i.occurred_at, i.session NULLS FIRST
            ) AS pairs
            FROM (
                SELECT occurred_at, session FROM impressions
                WHERE user_id = c.user_id AND campaign_id = abs(c.campaign_id)
                    AND kind = CASE WHEN c.campaign_id > 0 THEN 1 ELSE 5 END
                ORDER BY occurred_at DESC LIMIT 64
            ) AS i
        ) AS l
        WHERE (c.sessions IS NULL) <> (l.any_session = 0)
            OR c.sessions IS NOT NULL AND l.pairs IS DISTINCT FROM (
                SELECT array_agg(ROW(u.t, u.s) ORDER BY u.t, nullif(u.s, 0) NULLS FIRST)
                FROM unnest(c.recent, c.sessions) AS u (t, s)
            )""",
    "daily counts": """
        SELECT day, campaign_id, variant, kind, l.events AS in_log, d.events AS counted,
            l.late_events AS late_in_log, d.late_events AS late_counted
        FROM (
            SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, campaign_id, variant, kind,
                count(*) AS events, count(*) FILTER (WHERE late) AS late_events
            FROM impressions GROUP BY 1, 2, 3, 4
        ) AS l
        FULL JOIN (
            SELECT day, campaign_id, variant, kind, sum(events)::bigint AS events,
                sum(late_events)::bigint AS late_events
            FROM campaign_daily_counts GROUP BY 1, 2, 3, 4
        ) AS d USING (day, campaign_id, variant, kind)
        WHERE (l.events, l.late_events) IS DISTINCT FROM (d.events, d.late_events)""",
    "new users": """
        SELECT campaign_id, kind, l.users AS in_log, d.users AS counted
        FROM (
            SELECT campaign_id, kind, count(DISTINCT user_id) AS users FROM impressions
            -- Of 6 only who had nothing of the campaign before is new.
            WHERE kind <> 6 GROUP BY 1, 2
        ) AS l
        FULL JOIN (
            SELECT campaign_id, kind, sum(new_users)::bigint AS users FROM campaign_daily_counts
            WHERE kind <> 6 GROUP BY 1, 2
        ) AS d USING (campaign_id, kind)
        WHERE l.users IS DISTINCT FROM d.users""",
    "frequency": """
        SELECT campaign_id, times, l.users, f.users
        FROM (
            SELECT campaign_id, least(seen, 64) AS times, count(*) AS users
            FROM (
                SELECT campaign_id, user_id, count(*) AS seen FROM impressions WHERE kind = 1 GROUP BY 1, 2
            ) AS each_user
            GROUP BY 1, 2
        ) AS l
        -- A row of 0 users is what is left when all of them have moved on.
        FULL JOIN (
            SELECT campaign_id, times, sum(users)::bigint AS users FROM campaign_frequency
            GROUP BY 1, 2 HAVING sum(users) <> 0
        ) AS f USING (campaign_id, times)
        WHERE l.users IS DISTINCT FROM f.users""",
}


async def disagreements(connection: asyncpg.Connection) -> list[str]:
    """Between the log and what is counted; empty if all is right."""
    found = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name, statement in DISAGREEMENTS.items():
            found += [f"{name}: {dict(row)}" for row in await connection.fetch(statement)]
    return found
