-- Purpose: for this transaction: hash a million ids in memory, and plan for this file and campaign.
-- Parameters: none.
-- Locks: none.
SELECT
    set_config('work_mem', '64MB', true),
    set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true)
