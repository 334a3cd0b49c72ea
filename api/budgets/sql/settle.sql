-- Purpose: give units of a campaign back, close what is overdue, and lease new ones; in one round trip, since the
--   account is locked meanwhile. The function stands in migration 0002.
-- Parameters: $1 integer, the campaign; $2 bigint, the instance; $3 integer[], leases given back; $4 integer[], how many
--   popups were served with each; $5 integer, the campaign's version; $6 date, the day in its zone; $7 integer, units
--   at most, 0 for none; $8 interval, after which the lease may be closed; $9 interval, after which every process knows
--   that a budget has become hard.
-- Locks: the account's row; then the leases' rows, in order; the days' rows of budget_spent.
SELECT s.known, s.lease_id, s.units
FROM settle_budget($1, $2, $3, $4, $5, $6, $7, $8, $9) AS s
