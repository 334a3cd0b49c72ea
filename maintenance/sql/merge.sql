-- Purpose: one merge (invariants I2, I4, I6): the buffered rows above each instance's watermark enter
--   the log; only the rows that the log had not known move the counts; the watermarks and the tick follow.
--   The prefix of each instance is cut at $1 rows, so a backlog is worked off in bounded transactions.
-- Parameters: $1 bigint, the most rows of one instance in one merge;
--   $2 uuid[], what the log can take: ids from the 1st to below the 2nd, from the 3rd to below the 4th …;
--   $3 timestamptz[], the same for the daily counts, by UTC midnights;
--   $4 timestamptz, now.
-- Locks: row locks on the counts in key order; none on the buffer beyond ACCESS SHARE.
-- Kinds are those of buffer/contract.py. What happens to users who are held out (5 and 7) is counted in the
--   row of -campaign_id, by the same columns; 6 only makes sure that there is a row.
-- Rows of erased users whose popups were served before their erasure leave the buffer, and that is all.
-- Returns one row: rows; unfit, quarantined and erased among them; events, users, campaigns; erasing: whether an
--   erasure is not done yet.
WITH RECURSIVE
-- The newest version of each instance's row comes first in its key: from there straight to the next instance, past
-- those that an open snapshot keeps (migration 0010). A place stays one: who changes it waits for the merge's turn.
marks AS (
    (SELECT w.instance, w.seq, w.ctid FROM buffer_watermarks AS w ORDER BY w.instance DESC, w.seq DESC LIMIT 1)
    UNION ALL
    SELECT n.instance, n.seq, n.ctid
    FROM marks AS m
    CROSS JOIN LATERAL (
        SELECT w.instance, w.seq, w.ctid
        FROM buffer_watermarks AS w
        WHERE w.instance < m.instance
        ORDER BY w.instance DESC, w.seq DESC
        LIMIT 1
    ) AS n
),
lowest AS MATERIALIZED (
    SELECT b.instance, min(b.seq) AS seq
    FROM impression_buffer AS b
    LEFT JOIN marks AS m ON m.instance = b.instance
    WHERE b.seq > coalesce(m.seq, 0)
    GROUP BY b.instance
),
fresh AS MATERIALIZED (
    SELECT
        b.*,
        e.user_hash IS NOT NULL AS erased,
        (
            width_bucket(b.impression_id, $2::uuid[]) % 2 = 1
            -- In no zone is it further from UTC's date than a day.
            AND width_bucket(b.occurred_at - interval '1 day', $3::timestamptz[]) % 2 = 1
            AND width_bucket(b.occurred_at + interval '1 day', $3::timestamptz[]) % 2 = 1
        ) AS fits
    FROM impression_buffer AS b
    INNER JOIN lowest ON lowest.instance = b.instance
    LEFT JOIN erasures AS e
        ON e.user_hash = hashtextextended(b.user_id, (SELECT s.secret FROM erasure_secret AS s))
        AND b.impression_id < e.before_id
    WHERE b.seq >= lowest.seq AND b.seq < lowest.seq + $1
),
quarantined AS (
    INSERT INTO impression_quarantine (
        instance, seq, impression_id, kind, user_id, campaign_id, variant, occurred_at, quarantined_at, session, late
    )
    SELECT DISTINCT ON (impression_id, kind, user_id)
        instance, seq, impression_id, kind, user_id, campaign_id, variant, occurred_at, $4, session, late
    FROM fresh
    WHERE NOT fits AND NOT erased
    ORDER BY impression_id, kind, user_id
    ON CONFLICT DO NOTHING
    RETURNING 1
),
logged AS (
    INSERT INTO impressions (impression_id, kind, user_id, campaign_id, variant, occurred_at, late, session)
    SELECT DISTINCT ON (impression_id, kind, user_id)
        impression_id, kind, user_id, campaign_id, variant, occurred_at, late, nullif(session, 0)
    FROM fresh
    WHERE fits AND NOT erased
    ORDER BY impression_id, kind, user_id, occurred_at
    ON CONFLICT DO NOTHING
    RETURNING
        impression_id, kind, user_id, campaign_id, variant, occurred_at, late, session,
        CASE WHEN kind IN (5, 7) THEN -campaign_id ELSE campaign_id END AS counted_id,
        kind IN (1, 5) AS shown,
        kind IN (4, 7) AS converted
),
per_user AS MATERIALIZED (
    SELECT
        user_id,
        counted_id,
        count(*) FILTER (WHERE shown) AS total,
        count(*) FILTER (WHERE kind = 2) AS clicks,
        count(*) FILTER (WHERE kind = 3) AS dismissals,
        count(*) FILTER (WHERE converted) AS conversions,
        array_agg(occurred_at ORDER BY occurred_at DESC) FILTER (WHERE shown) AS times,
        -- Beside the times: those of equal times may change places.
        array_agg(coalesce(session, 0) ORDER BY occurred_at DESC)
        FILTER (WHERE shown AND (SELECT EXISTS (SELECT FROM fresh WHERE session <> 0))) AS sessions,
        max(occurred_at) FILTER (WHERE kind = 2) AS last_click_at,
        max(occurred_at) FILTER (WHERE kind = 3) AS last_dismiss_at,
        max(occurred_at) FILTER (WHERE converted) AS last_convert_at
    FROM logged
    GROUP BY user_id, counted_id
),
counted AS (
    INSERT INTO user_campaign_counts AS c (
        user_id, campaign_id, total, clicks, dismissals, conversions,
        recent, sessions, first_at, last_at, last_click_at, last_dismiss_at, last_convert_at
    )
    SELECT
        user_id, counted_id, total, clicks, dismissals, conversions,
        coalesce(times[1:64], '{}'), CASE WHEN 0 <> ANY (sessions[1:64]) THEN sessions[1:64] END,
        times[cardinality(times)], times[1], last_click_at, last_dismiss_at, last_convert_at
    FROM per_user
    ORDER BY user_id, counted_id
    ON CONFLICT (user_id, campaign_id) DO UPDATE SET
        total = c.total + excluded.total,
        clicks = c.clicks + excluded.clicks,
        dismissals = c.dismissals + excluded.dismissals,
        conversions = c.conversions + excluded.conversions,
        -- Nearly always the new times are the newest; sorting is for a phone that was offline.
        recent = CASE
            WHEN excluded.last_at IS NULL THEN c.recent
            WHEN c.last_at IS NULL OR excluded.recent[cardinality(excluded.recent)] >= c.last_at
                THEN (excluded.recent || c.recent)[1:64]
            ELSE (
                SELECT array_agg(newest.t)
                FROM (
                    SELECT u.t FROM unnest(excluded.recent || c.recent) AS u (t) ORDER BY u.t DESC LIMIT 64
                ) AS newest
            )
        END,
        -- Beside `recent`, so it is sorted and cut with it; null as soon as nothing is left in it.
        sessions = CASE
            WHEN excluded.last_at IS NULL OR coalesce(excluded.sessions, c.sessions) IS NULL THEN c.sessions
            ELSE (
                SELECT CASE WHEN bool_or(newest.s <> 0) THEN array_agg(newest.s) END
                FROM (
                    SELECT u.s
                    FROM unnest(
                        excluded.recent || c.recent,
                        coalesce(excluded.sessions, array_fill(0, ARRAY[cardinality(excluded.recent)]))
                        || coalesce(c.sessions, array_fill(0, ARRAY[cardinality(c.recent)]))
                    ) AS u (t, s)
                    ORDER BY u.t DESC
                    LIMIT 64
                ) AS newest
            )
        END,
        first_at = least(c.first_at, excluded.first_at),
        last_at = greatest(c.last_at, excluded.last_at),
        last_click_at = greatest(c.last_click_at, excluded.last_click_at),
        last_dismiss_at = greatest(c.last_dismiss_at, excluded.last_dismiss_at),
        last_convert_at = greatest(c.last_convert_at, excluded.last_convert_at)
    RETURNING c.user_id, c.campaign_id, c.total, c.clicks, c.dismissals, c.conversions
),
summed AS MATERIALIZED (
    SELECT
        p.user_id,
        p.counted_id,
        p.total AS added,
        p.clicks AS added_clicks,
        p.dismissals AS added_dismissals,
        p.conversions AS added_conversions,
        c.total,
        c.clicks,
        c.dismissals,
        c.conversions
    FROM per_user AS p
    INNER JOIN counted AS c ON c.user_id = p.user_id AND c.campaign_id = p.counted_id
),
-- A user is new to a kind of event when all that is counted of it came with this merge.
all_new AS MATERIALIZED (
    SELECT
        user_id,
        counted_id,
        total = added AS shown,
        clicks = added_clicks AS clicked,
        dismissals = added_dismissals AS dismissed,
        conversions = added_conversions AS converted
    FROM summed
    WHERE
        (added > 0 AND total = added)
        OR (added_clicks > 0 AND clicks = added_clicks)
        OR (added_dismissals > 0 AND dismissals = added_dismissals)
        OR (added_conversions > 0 AND conversions = added_conversions)
        -- Kind 6 alone.
        OR added + added_clicks + added_dismissals + added_conversions = 0
),
-- Nearly every merge adds to the same rows. While a report holds a snapshot open, no version of a row can go, and
-- each merge has to walk past those of all merges since: so 64 merges in turn add to rows of their own.
striped AS MATERIALIZED (
    SELECT ctid AS place, (tick % 64)::smallint AS stripe FROM merge_ticks ORDER BY tick DESC LIMIT 1
),
-- From those who have seen it as often as before to those who have seen it as often as now.
frequency AS (
    INSERT INTO campaign_frequency AS f (campaign_id, times, stripe, users)
    SELECT s.counted_id, moved.times, (SELECT stripe FROM striped) AS stripe, sum(moved.users) AS users
    FROM summed AS s
    CROSS JOIN LATERAL (VALUES (least(s.total, 64), 1), (s.total - s.added, -1)) AS moved (times, users)
    -- Who has seen it 64 times stays there; who had not seen it was nowhere.
    WHERE s.counted_id > 0 AND s.added > 0 AND s.total - s.added < 64 AND moved.times > 0
    GROUP BY 1, 2
    HAVING sum(moved.users) <> 0
    ORDER BY 1, 2
    ON CONFLICT (campaign_id, times, stripe) DO UPDATE SET users = f.users + excluded.users
),
newcomers AS (
    SELECT DISTINCT ON (l.user_id, l.counted_id, l.kind) l.user_id, l.impression_id, l.kind
    FROM all_new AS a
    INNER JOIN logged AS l ON l.user_id = a.user_id AND l.counted_id = a.counted_id
    WHERE CASE l.kind
        WHEN 2 THEN a.clicked
        WHEN 3 THEN a.dismissed
        WHEN 4 THEN a.converted
        WHEN 7 THEN a.converted
        -- Nothing is counted of it, so the row must not have been there before this statement.
        WHEN 6 THEN (
            SELECT b.total FROM user_campaign_counts AS b WHERE b.user_id = l.user_id AND b.campaign_id = l.counted_id
        ) IS NULL
        ELSE a.shown
    END
    ORDER BY l.user_id, l.counted_id, l.kind, l.occurred_at, l.impression_id
),
daily AS (
    INSERT INTO campaign_daily_counts AS d (
        day, campaign_id, variant, kind, stripe, events, late_events, new_users
    )
    SELECT
        (l.occurred_at AT TIME ZONE coalesce(t.timezone, 'UTC'))::date AS day,
        l.campaign_id,
        l.variant,
        l.kind,
        (SELECT stripe FROM striped) AS stripe,
        count(*) AS events,
        count(*) FILTER (WHERE l.late) AS late_events,
        count(n.user_id) AS new_users
    FROM logged AS l
    LEFT JOIN campaigns AS t ON t.id = l.campaign_id
    LEFT JOIN newcomers AS n ON n.impression_id = l.impression_id AND n.user_id = l.user_id AND n.kind = l.kind
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (day, campaign_id, variant, kind, stripe) DO UPDATE SET
        events = d.events + excluded.events,
        late_events = d.late_events + excluded.late_events,
        new_users = d.new_users + excluded.new_users
),
reached AS MATERIALIZED (
    SELECT f.instance, max(f.seq) AS seq, m.ctid AS place
    FROM fresh AS f
    LEFT JOIN marks AS m ON m.instance = f.instance
    GROUP BY f.instance, m.ctid
),
marked AS (
    UPDATE buffer_watermarks AS w SET seq = r.seq, merged_at = $4
    FROM reached AS r
    WHERE w.ctid = r.place
),
first_marked AS (
    INSERT INTO buffer_watermarks (instance, seq, merged_at)
    SELECT instance, seq, $4 FROM reached WHERE place IS NULL
),
ticked AS (
    UPDATE merge_ticks AS t SET tick = t.tick + 1, merged_at = $4
    FROM striped AS s
    -- An idle service ticks once a second: often enough to be seen alive, seldom enough to cost nothing.
    WHERE t.ctid = s.place AND (EXISTS (SELECT FROM fresh) OR t.merged_at < $4 - interval '1 second')
)
SELECT
    (SELECT count(*) FROM fresh) AS rows,
    (SELECT count(*) FROM fresh WHERE NOT fits AND NOT erased) AS unfit,
    (SELECT count(*) FROM quarantined) AS quarantined,
    (SELECT count(*) FROM fresh WHERE erased) AS erased,
    (SELECT EXISTS (SELECT FROM erasures WHERE done_at IS NULL)) AS erasing,
    (SELECT count(*) FROM logged) AS events,
    (SELECT count(DISTINCT user_id) FROM per_user) AS users,
    (SELECT count(DISTINCT abs(counted_id)) FROM per_user) AS campaigns
