-- migrate:up
-- A thumbnail's erasure is written down before the thumbnail is uploaded and taken back when a face refers to it:
-- so that one whose face was never written (a crash) does not stay. Until then it is not due.
ALTER TABLE outbox ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX outbox_deletions_idx ON outbox (bucket, object_prefix) WHERE kind = 'delete_objects';
CREATE INDEX faces_thumbnail_idx ON faces (thumbnail_object) WHERE thumbnail_object IS NOT NULL;

CREATE OR REPLACE VIEW metric_outbox AS
SELECT kind, count(*) AS entries, min(created_at) AS oldest_created_at, max(attempts) AS most_attempts
FROM outbox WHERE due_at <= now() GROUP BY kind;

-- migrate:down
