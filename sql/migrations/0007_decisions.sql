-- migrate:up
-- What a human's decision changed, told exactly enough to take it back.

-- Counts the decisions on a person: two people who edit it at once find out.
ALTER TABLE face_persons ADD COLUMN version bigint NOT NULL DEFAULT 0;

ALTER TABLE decisions
    -- The place in the event's history; two decisions of one event never share it.
    ADD COLUMN version bigint,
    -- What it touched: a later decision on any of these has to be undone first.
    ADD COLUMN person_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN face_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN user_ids uuid[] NOT NULL DEFAULT '{}',
    -- Null once a purge has erased it: such a decision stands in the history and cannot be undone.
    ALTER COLUMN inverse DROP NOT NULL,
    DROP CONSTRAINT decisions_kind_check,
    ADD CONSTRAINT decisions_kind_check CHECK (kind IN (
        'link', 'unlink', 'invite', 'accept', 'decline', 'merge', 'split', 'move', 'reject', 'distinct', 'ignore',
        'restore', 'cover', 'undo'
    )) NOT VALID;
ALTER TABLE decisions VALIDATE CONSTRAINT decisions_kind_check;
CREATE UNIQUE INDEX decisions_history ON decisions (event_id, version);

ALTER TABLE invitations
    ADD COLUMN language text NOT NULL DEFAULT 'fr' CHECK (language IN ('fr', 'en')),
    ADD COLUMN message text,
    ADD COLUMN sent_at timestamptz;

-- An answer that was given is given again to the same request; kept for a day.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    -- SHA-256 of method, path and body.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    event_id uuid,
    status integer,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_event ON idempotency_keys (event_id) WHERE event_id IS NOT NULL;

-- The audit of reads of biometrics, counted by day. No foreign key: it outlives what was read.
CREATE TABLE biometric_reads (
    day date NOT NULL DEFAULT current_date,
    -- A user's id, "service", or "invitation".
    actor text NOT NULL,
    event_id uuid NOT NULL,
    what text NOT NULL,
    subject_id uuid NOT NULL,
    reads bigint NOT NULL DEFAULT 1 CHECK (reads > 0),
    PRIMARY KEY (event_id, day, actor, what, subject_id)
);

-- The consent log: kept apart from the biometrics, and longer. No foreign key: it outlives the event.
CREATE TABLE event_consents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    enabled boolean NOT NULL,
    text_version text,
    actor_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_consents_event ON event_consents (event_id, at DESC);

-- A deletion without a bucket is one in the derived bucket of this deployment: so that a trigger, which knows no
-- bucket, can ask for it.
ALTER TABLE outbox
    DROP CONSTRAINT outbox_delete_is_whole,
    ADD CONSTRAINT outbox_delete_is_whole CHECK (
        kind <> 'delete_objects' OR (object_prefix <> '' AND object_prefix IS NOT NULL AND bucket IS DISTINCT FROM '')
    ) NOT VALID;
ALTER TABLE outbox VALIDATE CONSTRAINT outbox_delete_is_whole;

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE biometric_reads ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_consents ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE api_role text;
BEGIN
    FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON idempotency_keys, biometric_reads, event_consents FROM %I', api_role);
    END LOOP;
END
$$;

-- migrate:down
