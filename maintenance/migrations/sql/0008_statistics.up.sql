-- Purpose: ANALYZE of the counts in a quarter of its CPU. Whatever reads or writes them does so by the primary key,
-- so no plan depends on statistics of other columns, least of all on those of the elements of arrays.
-- Locks: SHARE UPDATE EXCLUSIVE on the counts, for a moment: it waits for a vacuum, and for no reads and no merge.
ALTER TABLE user_campaign_counts
    ALTER COLUMN total SET STATISTICS 0,
    ALTER COLUMN clicks SET STATISTICS 0,
    ALTER COLUMN dismissals SET STATISTICS 0,
    ALTER COLUMN conversions SET STATISTICS 0,
    ALTER COLUMN recent SET STATISTICS 0,
    ALTER COLUMN sessions SET STATISTICS 0,
    ALTER COLUMN first_at SET STATISTICS 0,
    ALTER COLUMN last_at SET STATISTICS 0,
    ALTER COLUMN last_click_at SET STATISTICS 0,
    ALTER COLUMN last_dismiss_at SET STATISTICS 0,
    ALTER COLUMN last_convert_at SET STATISTICS 0;
