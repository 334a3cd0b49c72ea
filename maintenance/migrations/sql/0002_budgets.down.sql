-- Purpose: back to campaigns without budgets.
-- Locks: ACCESS EXCLUSIVE on campaigns, for a moment, and on the tables of budgets.
DROP TRIGGER campaigns_keep_budget_account ON campaigns;
DROP FUNCTION keep_budget_account();
DROP TABLE budget_uses, budget_spent, budget_leases, budget_accounts;
ALTER TABLE campaigns DROP COLUMN budget;
