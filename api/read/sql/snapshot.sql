-- Purpose: all that a batch of popup requests needs, in one snapshot. The first row holds what all
--   share: catalog version, tick, watermarks, log position; then a row for each user asked for, in
--   order, with the counts and the lists.
-- Parameters: $1 bigint, the instance; $2 text[], the users; $3 bigint[], other instances. For one user
--   api/read/snapshot.py replaces the unnest below: then $2 is text, or NULL for none, and the only row has all.
-- Locks: none beyond ACCESS SHARE.
-- Plan: for each user one index scan of one partition, pruned at run time; the plan is generic,
--   since planning anew costs more than running (docs/decisions/0004). Tick and watermarks are asked for as the
--   highest, though there is one: their old versions, of which an open snapshot may keep any number, come after it.
-- counts: for each campaign (minus its id: ghosts of it) int4 id, int8 total, array_send(recent), so that Python
--   decodes only what it looks at. The highest byte of total tells what follows, nearly always nothing:
--   1, interactions (array_send of clicks, dismissals and conversions, and of the last time of each, -infinity for
--   never), 2, sessions (array_send). Where there are none, null tests are all that is added to a row's cost.
SELECT
    m.version,
    m.tick,
    m.merged_at,
    m.active_buffer,
    m.watermark,
    m.peer_watermarks,
    m.replayed,
    (
        SELECT string_agg(
            CASE
                WHEN c.last_click_at IS NOT NULL OR c.last_dismiss_at IS NOT NULL OR c.last_convert_at IS NOT NULL
                    THEN int4send(c.campaign_id)
                    || int8send(c.total | CASE WHEN c.sessions IS NULL THEN 1::bigint << 56 ELSE 3::bigint << 56 END)
                    || array_send(c.recent)
                    || array_send(ARRAY[c.clicks, c.dismissals, c.conversions])
                    || array_send(ARRAY[
                        coalesce(c.last_click_at, '-infinity'),
                        coalesce(c.last_dismiss_at, '-infinity'),
                        coalesce(c.last_convert_at, '-infinity')
                    ])
                    || coalesce(array_send(c.sessions), ''::bytea)
                WHEN c.sessions IS NOT NULL
                    THEN int4send(c.campaign_id) || int8send(c.total | (2::bigint << 56)) || array_send(c.recent)
                    || array_send(c.sessions)
                ELSE int4send(c.campaign_id) || int8send(c.total) || array_send(c.recent)
            END,
            ''::bytea
        )
        FROM user_campaign_counts AS c
        WHERE c.user_id = u.user_id
    ) AS counts,
    ARRAY(SELECT a.campaign_id FROM audience_members AS a WHERE a.user_id = u.user_id) AS listed
FROM unnest(ARRAY[NULL]::text[] || $2::text[]) WITH ORDINALITY AS u (user_id, place)
LEFT JOIN LATERAL (
    SELECT
        v.version,
        t.tick,
        t.merged_at,
        t.active_buffer,
        coalesce(
            (SELECT w.seq FROM buffer_watermarks AS w WHERE w.instance = $1 ORDER BY w.seq DESC LIMIT 1), 0
        ) AS watermark,
        ARRAY(
            SELECT
                coalesce(
                    (SELECT w.seq FROM buffer_watermarks AS w WHERE w.instance = p.instance ORDER BY w.seq DESC LIMIT 1),
                    0
                )
            FROM unnest($3::bigint[]) WITH ORDINALITY AS p (instance, place)
            ORDER BY p.place
        ) AS peer_watermarks,
        -- A primary that has recovered from a crash still knows where its replay ended.
        CASE
            WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint
        END AS replayed
    FROM catalog_version AS v
    CROSS JOIN (SELECT * FROM merge_ticks ORDER BY tick DESC LIMIT 1) AS t
    WHERE u.place = 1
) AS m ON true
ORDER BY u.place
