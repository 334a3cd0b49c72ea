-- Purpose: back to the schema before. Uploads that are open are lost: their clients have to begin again.
-- Locks: ACCESS EXCLUSIVE on what goes, and on campaigns for a moment.
DROP TABLE audience_upload_parts;
DROP TABLE audience_uploads;
