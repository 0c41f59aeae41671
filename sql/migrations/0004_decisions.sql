-- migrate:up
-- What people decided and were asked, told exactly enough to take it back.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

CREATE TABLE decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    -- Its position in the event's history; two decisions of one event never share it.
    version bigint,
    actor_id uuid REFERENCES users (id) ON DELETE SET NULL,
    kind text NOT NULL CHECK (kind IN (
        'link', 'unlink', 'invite', 'accept', 'decline', 'merge', 'split', 'move', 'reject', 'distinct', 'one_person',
        'ignore', 'restore', 'cover', 'undo'
    )),
    subject jsonb NOT NULL,
    -- Null once a purge has erased it: such a decision stays in the history and cannot be undone.
    inverse jsonb,
    undone_by uuid REFERENCES decisions (id) ON DELETE SET NULL,
    -- What it touched: a later decision on any of these has to be undone first.
    person_ids uuid[] NOT NULL DEFAULT '{}',
    face_ids uuid[] NOT NULL DEFAULT '{}',
    user_ids uuid[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decisions_event_idx ON decisions (event_id, created_at DESC);
CREATE UNIQUE INDEX decisions_history ON decisions (event_id, version);
CREATE INDEX decisions_users_idx ON decisions USING gin (user_ids);

-- "This face is not that person": remembered by every later run.
CREATE TABLE face_rejections (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_rejections_person_idx ON face_rejections (face_person_id);

-- The other persons of a person's event, the most alike first: for an organiser, who may read no embedding, an order of
-- ids and nothing else. Asked are the best faces of those in the list (null: of all that the person has); each looks for
-- the nearest among the best faces of the other, and what they find is averaged: one odd face decides nothing, and who
-- was photographed over years is found by the faces that fit. A body that is resolved here, so that it finds the
-- operator wherever the extension is.
CREATE FUNCTION trombi_persons_alike(of_person uuid, face_list uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
BEGIN ATOMIC
    SELECT trombi_require_self_or_organiser((SELECT event_id FROM face_persons WHERE id = of_person), NULL);
    WITH asked AS MATERIALIZED (
        SELECT id, embedding FROM faces
        WHERE face_person_id = of_person AND embedding IS NOT NULL AND (face_list IS NULL OR id = ANY (face_list))
        ORDER BY quality_score DESC, id LIMIT 3
    ), placed AS (
        SELECT face_person_id, embedding,
            row_number() OVER (PARTITION BY face_person_id ORDER BY quality_score DESC, id) AS place
        FROM faces
        WHERE event_id = (SELECT event_id FROM face_persons WHERE id = of_person)
            AND face_person_id IS NOT NULL AND face_person_id <> of_person AND embedding IS NOT NULL
    ), nearest AS (
        SELECT placed.face_person_id, min(asked.embedding <=> placed.embedding) AS distance
        FROM placed CROSS JOIN asked WHERE placed.place <= 10
        GROUP BY placed.face_person_id, asked.id
    )
    SELECT face_person_id FROM nearest GROUP BY face_person_id ORDER BY avg(distance), face_person_id;
END;

-- ---------------------------------------------------------------- invitations

CREATE TABLE invitations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    -- SHA-256 of the 256-bit token: the token itself is only in the mail.
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    -- Null once erased, with the message: when the event is archived, and 30 days after the answer or the expiry.
    email text,
    message text,
    language text NOT NULL DEFAULT 'fr' CHECK (language ~ '^[a-z]{2}(-[A-Z]{2})?$'),
    invited_by uuid REFERENCES users (id) ON DELETE SET NULL,
    expires_at timestamptz NOT NULL,
    sent_at timestamptz,
    -- Why no mail reached the address, for the organiser to be told; null while there is hope.
    mail_problem text CHECK (mail_problem IN ('refused', 'not_configured', 'given_up')),
    answered_at timestamptz,
    answer text CHECK (answer IN ('accepted', 'declined')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((answered_at IS NULL) = (answer IS NULL)),
    CHECK (expires_at > created_at)
);
CREATE INDEX invitations_person_idx ON invitations (face_person_id);
CREATE INDEX invitations_event_idx ON invitations (event_id);
CREATE INDEX invitations_age ON invitations ((coalesce(answered_at, expires_at)))
    WHERE email IS NOT NULL OR message IS NOT NULL;

-- Whoever writes an invitation: the address is kept in its one form.
CREATE FUNCTION trombi_normalise_address() RETURNS trigger
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    NEW.email := trombi_address(NEW.email);
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF email ON invitations
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_address();

-- 'open' as long as an answer counts: the person still waits for this address, nobody was asked anew, and the event
-- still consents. Else 'accepted', 'declined', 'withdrawn' or 'expired'; null where there is no such invitation.
CREATE FUNCTION invitation_state(invitation uuid) RETURNS text
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp
    AS $$
        SELECT CASE
            WHEN asked.answer IS NOT NULL THEN asked.answer
            WHEN person.status <> 'invited' OR lower(person.invitation_email) IS DISTINCT FROM lower(asked.email)
                OR NOT events.face_recognition_enabled OR events.archived_at IS NOT NULL
                OR EXISTS (
                    SELECT FROM invitations AS newer
                    WHERE newer.face_person_id = asked.face_person_id AND lower(newer.email) = lower(asked.email)
                        AND (newer.created_at, newer.id) > (asked.created_at, asked.id)
                ) THEN 'withdrawn'
            WHEN asked.expires_at <= now() THEN 'expired'
            ELSE 'open'
        END
        FROM invitations AS asked
        JOIN events ON events.id = asked.event_id
        JOIN face_persons AS person ON person.id = asked.face_person_id
        WHERE asked.id = invitation
    $$;

-- ---------------------------------------------------------------- repeated requests

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

-- migrate:down
