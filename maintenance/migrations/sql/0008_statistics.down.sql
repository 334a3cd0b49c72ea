-- Purpose: back to statistics of every column.
-- Locks: SHARE UPDATE EXCLUSIVE on the counts, for a moment.
ALTER TABLE user_campaign_counts
    ALTER COLUMN total SET STATISTICS -1,
    ALTER COLUMN clicks SET STATISTICS -1,
    ALTER COLUMN dismissals SET STATISTICS -1,
    ALTER COLUMN conversions SET STATISTICS -1,
    ALTER COLUMN recent SET STATISTICS -1,
    ALTER COLUMN sessions SET STATISTICS -1,
    ALTER COLUMN first_at SET STATISTICS -1,
    ALTER COLUMN last_at SET STATISTICS -1,
    ALTER COLUMN last_click_at SET STATISTICS -1,
    ALTER COLUMN last_dismiss_at SET STATISTICS -1,
    ALTER COLUMN last_convert_at SET STATISTICS -1;
