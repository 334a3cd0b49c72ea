-- Purpose: what rows take on disk, and how many connections the api workers hold on this server.
-- Parameters: none.
-- Locks: none beyond ACCESS SHARE.
SELECT
    (
        SELECT sum(pg_total_relation_size(p.relid))::bigint
        FROM pg_partition_tree('impressions') AS p
        WHERE p.isleaf
    ) AS log_bytes,
    (SELECT count(*) FROM impressions) AS log_rows,
    (
        SELECT sum(pg_total_relation_size(p.relid))::bigint
        FROM pg_partition_tree('user_campaign_counts') AS p
        WHERE p.isleaf
    ) AS count_bytes,
    (
        SELECT sum(pg_relation_size(p.relid))::bigint / current_setting('block_size')::integer
        FROM pg_partition_tree('user_campaign_counts') AS p
        WHERE p.isleaf
    ) AS count_pages,
    (SELECT count(*) FROM user_campaign_counts) AS count_rows,
    (
        SELECT count(*)
        FROM pg_stat_activity AS a
        WHERE
            a.application_name LIKE 'tayang %'
            AND a.application_name NOT IN ('tayang merge', 'tayang partitions', 'tayang erasures')
            AND a.backend_type = 'client backend'
    ) AS connections
