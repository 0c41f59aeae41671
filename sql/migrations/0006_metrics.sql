-- migrate:up
-- The metrics of operation, each a view that a dashboard reads as it is.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- Refused credentials, counted by day and reason: no address, no token, no user.
CREATE TABLE auth_failures (
    day date NOT NULL DEFAULT current_date,
    reason text NOT NULL,
    failures bigint NOT NULL DEFAULT 1 CHECK (failures > 0),
    PRIMARY KEY (day, reason)
);

CREATE VIEW metric_pending_jobs AS
SELECT job_type, priority, status, count(*) AS jobs, min(created_at) AS oldest_created_at
FROM ml_jobs WHERE status IN ('pending', 'processing')
GROUP BY job_type, priority, status;

CREATE VIEW metric_failure_rate AS
SELECT job_type,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) AS finished,
    count(*) FILTER (WHERE status = 'failed')::float8 / count(*) AS failure_rate
FROM ml_jobs WHERE status IN ('completed', 'failed') AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

CREATE VIEW metric_failures_by_reason AS
SELECT job_type, error_code, count(*) AS jobs, max(completed_at) AS last_at
FROM ml_jobs WHERE status = 'failed' AND completed_at > now() - interval '24 hours'
GROUP BY job_type, error_code;

CREATE VIEW metric_processing_time AS
SELECT job_type,
    count(*) AS jobs,
    avg(extract(epoch FROM completed_at - started_at)) * 1000 AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - started_at)) * 1000 AS p95_ms
FROM ml_jobs WHERE status = 'completed' AND started_at IS NOT NULL AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

-- A photo that was uploaded anew is not covered by the job of what was there before.
CREATE VIEW metric_event_coverage AS
SELECT events.id AS event_id,
    count(media.id) AS photos,
    count(job.id) AS processed,
    CASE WHEN count(media.id) = 0 THEN 1 ELSE count(job.id)::float8 / count(media.id) END AS coverage
FROM events
LEFT JOIN media ON media.event_id = events.id AND media.deleted_generation < coalesce(media.object_generation, 1)
LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL AND job.status = 'completed'
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
GROUP BY events.id;

CREATE VIEW metric_detection_milliseconds AS
SELECT stage.key AS stage, count(*) AS photos, avg(stage.value::float8) AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY stage.value::float8) AS p95_ms
FROM ml_jobs, jsonb_each_text(ml_jobs.result -> 'milliseconds') AS stage
WHERE job_type = 'detect' AND status = 'completed' AND completed_at > now() - interval '24 hours'
GROUP BY stage.key;

CREATE VIEW metric_faces_per_photo AS
SELECT event_id, count(*) AS photos, avg((result ->> 'faces')::float8) AS mean_faces,
    max((result ->> 'faces')::integer) AS most_faces
FROM ml_jobs WHERE job_type = 'detect' AND status = 'completed' AND result ? 'faces'
GROUP BY event_id;

CREATE VIEW metric_noise_ratio AS
SELECT DISTINCT ON (event_id) event_id, faces, clusters, persons, noise_ratio, silhouette, churn, created_at
FROM cluster_runs ORDER BY event_id, created_at DESC;

CREATE VIEW metric_callback_latency AS
SELECT job_type, count(*) AS jobs,
    avg(extract(epoch FROM reported_at - completed_at)) * 1000 AS mean_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM reported_at - completed_at)) * 1000 AS p95_ms
FROM ml_jobs WHERE reported_at IS NOT NULL AND completed_at > now() - interval '24 hours'
GROUP BY job_type;

CREATE VIEW metric_outbox AS
SELECT kind, count(*) AS entries, min(created_at) AS oldest_created_at, max(attempts) AS most_attempts
FROM outbox WHERE due_at <= now() GROUP BY kind;

CREATE VIEW metric_dead_letters AS
SELECT topic, count(*) FILTER (WHERE replayed_at IS NULL) AS waiting, count(*) AS received, max(received_at) AS last_at
FROM dead_letters GROUP BY topic;

CREATE VIEW metric_auth_failures AS
SELECT day, reason, failures FROM auth_failures;

-- migrate:down
