-- Purpose: a unit that was handed out or used must survive a crash, whatever the server's default is.
-- Locks: none.
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
