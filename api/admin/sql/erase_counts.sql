-- Purpose: delete a user's counts, also those of campaigns that the user was held out of.
-- Parameters: $1 text, the user.
-- Locks: row locks on what is deleted, in one partition. The caller has the merge's turn: nobody else writes counts.
DELETE FROM user_campaign_counts WHERE user_id = $1
