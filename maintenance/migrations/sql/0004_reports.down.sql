-- Purpose: back to the schema before reports. Nothing is lost: it is summed again.
-- Locks: ACCESS EXCLUSIVE on the table below.
DROP TABLE campaign_frequency;
