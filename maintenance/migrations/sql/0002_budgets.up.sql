-- Purpose: budgets (docs/decisions/0014). A hard one is kept by units that the primary hands out.
-- Locks: ACCESS EXCLUSIVE on campaigns, for a moment; else creates only.

ALTER TABLE campaigns ADD COLUMN budget jsonb;

-- A row while the campaign's budget is hard. Whoever hands out its units holds this row's lock.
CREATE TABLE budget_accounts (
    campaign_id integer PRIMARY KEY,
    hard_since timestamptz NOT NULL,
    -- Whether what was counted before is in budget_spent.
    opened boolean NOT NULL DEFAULT false
);

-- Units that an api process may sign tokens for. `used` of them are spent; the others come back when
-- the lease is closed, which deletes it. The check is what a budget rests on.
CREATE TABLE budget_leases (
    id integer GENERATED ALWAYS AS IDENTITY (CYCLE) PRIMARY KEY,
    campaign_id integer NOT NULL,
    day date NOT NULL,
    instance bigint NOT NULL,
    units integer NOT NULL,
    used integer NOT NULL DEFAULT 0,
    close_at timestamptz NOT NULL,
    CHECK (used >= 0 AND used <= units)
) WITH (fillfactor = 50);
CREATE INDEX budget_leases_by_campaign ON budget_leases (campaign_id);

-- What is spent for good: by closed leases, and before the budget became hard.
CREATE TABLE budget_spent (
    campaign_id integer NOT NULL,
    day date NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (campaign_id, day)
) WITH (fillfactor = 50);

-- One row for each impression that has taken its unit, so that a resend takes no other.
CREATE TABLE budget_uses (
    impression_id uuid PRIMARY KEY,
    lease_id integer NOT NULL
);

-- What follows are functions, because the account must not stay locked while a busy process thinks: one
-- round trip each. Every statement in them sees what was committed before it began.

-- End the leases whose popups can't be confirmed any more: what was used is spent, the rest is free. A
-- lease that is being used at this moment is left for the next time. The caller holds the account.
CREATE FUNCTION close_budget_leases(campaign integer) RETURNS void
LANGUAGE sql AS $$
    WITH closed AS (
        DELETE FROM budget_leases
        WHERE id IN (
            SELECT l.id
            FROM budget_leases AS l
            WHERE l.campaign_id = campaign AND l.close_at <= clock_timestamp()
            FOR UPDATE SKIP LOCKED
        )
        RETURNING day, used
    )
    INSERT INTO budget_spent AS s (campaign_id, day, units)
    SELECT campaign, closed.day, sum(closed.used)
    FROM closed
    GROUP BY closed.day
    HAVING sum(closed.used) > 0
    ORDER BY closed.day
    ON CONFLICT (campaign_id, day) DO UPDATE SET units = s.units + excluded.units;
$$;

-- Count what was shown before the budget became hard, once: when `settling` is over, after which every
-- process knows that it is hard, and all that they had taken before is merged. The caller holds the account.
CREATE FUNCTION open_budget_account(campaign integer, settling interval) RETURNS void
LANGUAGE sql AS $$
    WITH opened AS (
        UPDATE budget_accounts AS a
        SET opened = true
        FROM merge_ticks AS t
        WHERE a.campaign_id = campaign
            AND NOT a.opened
            AND (a.hard_since = '-infinity' OR least(t.merged_at, clock_timestamp()) > a.hard_since + settling)
        RETURNING a.campaign_id
    )
    INSERT INTO budget_spent (campaign_id, day, units)
    SELECT d.campaign_id, d.day, sum(d.events)
    FROM campaign_daily_counts AS d
    INNER JOIN opened AS o ON o.campaign_id = d.campaign_id
    WHERE d.kind = 1
    GROUP BY d.campaign_id, d.day;
$$;

-- Take back the units of leases with which no more popups are served than `taken`. Repeating it does no
-- harm. It waits for their uses. The caller holds the account.
CREATE FUNCTION give_back_budget_units(leases integer[], taken integer[]) RETURNS void
LANGUAGE sql AS $$
    WITH held AS MATERIALIZED (
        SELECT l.id, given.taken
        FROM budget_leases AS l
        INNER JOIN unnest(leases, taken) AS given (id, taken) ON given.id = l.id
        WHERE l.units > given.taken
        ORDER BY l.id
        FOR UPDATE OF l
    )
    UPDATE budget_leases AS l
    SET units = greatest(held.taken, l.used)
    FROM held
    WHERE l.id = held.id;
$$;

-- Lease units to a process, at most `wanted`. The fewer are left, the fewer at once: half of them, shared
-- among the processes that hold any. None if the campaign isn't at `version`. The caller holds the account.
CREATE FUNCTION lease_budget_units(
    campaign integer, version integer, holder bigint, on_day date, wanted integer, open_for interval
) RETURNS budget_leases
LANGUAGE sql AS $$
    WITH leased AS (
        SELECT
            coalesce(sum(l.units), 0) AS ever,
            coalesce(sum(l.units) FILTER (WHERE l.day = on_day), 0) AS that_day,
            count(DISTINCT l.instance) FILTER (WHERE l.instance <> holder) + 1 AS holders
        FROM budget_leases AS l
        WHERE l.campaign_id = campaign
    ),
    spent AS (
        SELECT
            coalesce(sum(s.units), 0) AS ever,
            coalesce(sum(s.units) FILTER (WHERE s.day = on_day), 0) AS that_day
        FROM budget_spent AS s
        WHERE s.campaign_id = campaign
    ),
    free AS (
        SELECT
            leased.holders,
            -- least() passes over a limit that is not set.
            least(
                (c.budget ->> 'total')::bigint - spent.ever - leased.ever,
                (c.budget ->> 'per_day')::bigint - spent.that_day - leased.that_day
            ) AS units
        FROM campaigns AS c
        INNER JOIN budget_accounts AS a ON a.campaign_id = c.id AND a.opened
        CROSS JOIN leased
        CROSS JOIN spent
        WHERE c.id = campaign AND c.version = lease_budget_units.version AND c.status = 'live'
    )
    INSERT INTO budget_leases (campaign_id, day, instance, units, close_at)
    SELECT
        campaign, on_day, holder, least(wanted, ceil(free.units / (2.0 * free.holders))),
        clock_timestamp() + open_for
    FROM free
    WHERE free.units > 0
    RETURNING *;
$$;

-- All of it for one campaign and one process. `known` are the leases that the process held before; null
-- if the budget isn't hard (any more). `wanted` 0 leases nothing.
CREATE FUNCTION settle_budget(
    campaign integer, holder bigint, given_back integer[], given_back_taken integer[],
    version integer, on_day date, wanted integer, open_for interval, settling interval,
    OUT known integer[], OUT lease_id integer, OUT units integer
)
LANGUAGE plpgsql AS $$
DECLARE
    lease budget_leases;
BEGIN
    -- Whoever else hands out units of this campaign waits here. Leases are locked after it, in order.
    PERFORM FROM budget_accounts AS a WHERE a.campaign_id = campaign FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    known := ARRAY(SELECT l.id FROM budget_leases AS l WHERE l.campaign_id = campaign AND l.instance = holder);
    PERFORM give_back_budget_units(given_back, given_back_taken);
    IF wanted > 0 THEN
        PERFORM close_budget_leases(campaign);
        PERFORM open_budget_account(campaign, settling);
        lease := lease_budget_units(campaign, version, holder, on_day, wanted, open_for);
        lease_id := lease.id;
        units := lease.units;
    END IF;
END
$$;

-- In the transaction that changes the campaign. What was leased under a hard budget ends with it.
CREATE FUNCTION keep_budget_account() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    was_hard CONSTANT boolean := TG_OP = 'UPDATE' AND coalesce((OLD.budget ->> 'hard')::boolean, false);
    is_hard CONSTANT boolean := coalesce((NEW.budget ->> 'hard')::boolean, false);
BEGIN
    IF is_hard AND NOT was_hard THEN
        INSERT INTO budget_accounts (campaign_id, hard_since)
        VALUES (NEW.id, CASE TG_OP WHEN 'INSERT' THEN '-infinity' ELSE clock_timestamp() END);
    ELSIF was_hard AND NOT is_hard THEN
        -- The account first, then the leases in order: as everybody locks them.
        DELETE FROM budget_accounts WHERE campaign_id = NEW.id;
        PERFORM FROM budget_leases WHERE campaign_id = NEW.id ORDER BY id FOR UPDATE;
        DELETE FROM budget_leases WHERE campaign_id = NEW.id;
        DELETE FROM budget_spent WHERE campaign_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER campaigns_keep_budget_account
AFTER INSERT OR UPDATE OF budget ON campaigns
FOR EACH ROW EXECUTE FUNCTION keep_budget_account();
