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
