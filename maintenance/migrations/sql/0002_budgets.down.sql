-- Purpose: back to campaigns without budgets.
-- Locks: ACCESS EXCLUSIVE on campaigns, for a moment, and on the tables of budgets.
DROP TRIGGER campaigns_keep_budget_account ON campaigns;
DROP FUNCTION
    keep_budget_account(),
    settle_budget(integer, bigint, integer[], integer[], integer, date, integer, interval, interval),
    lease_budget_units(integer, integer, bigint, date, integer, interval),
    give_back_budget_units(integer[], integer[]),
    open_budget_account(integer, interval),
    close_budget_leases(integer);
DROP TABLE budget_uses, budget_spent, budget_leases, budget_accounts;
ALTER TABLE campaigns DROP COLUMN budget;
