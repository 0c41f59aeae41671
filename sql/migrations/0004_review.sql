-- migrate:up
CREATE TABLE cluster_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES ml_jobs (id) ON DELETE CASCADE,
    run integer NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    faces integer NOT NULL CHECK (faces >= 0),
    clusters integer NOT NULL CHECK (clusters >= 0),
    persons integer NOT NULL CHECK (persons >= 0),
    noise integer NOT NULL CHECK (noise BETWEEN 0 AND faces),
    noise_ratio real GENERATED ALWAYS AS (CASE WHEN faces = 0 THEN 0 ELSE noise::real / faces END) STORED,
    -- Null where it is not defined (fewer than two clusters).
    silhouette real CHECK (silhouette BETWEEN -1 AND 1),
    -- Faces that had a person before this run and have another, or none, after it.
    churn integer NOT NULL CHECK (churn >= 0),
    suggestions integer NOT NULL CHECK (suggestions >= 0),
    milliseconds jsonb NOT NULL,
    parameters jsonb NOT NULL,
    embedding_model text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_id, run)
);
CREATE INDEX cluster_runs_event_idx ON cluster_runs (event_id, created_at DESC);

-- What a human said, with what undoes it.
CREATE TABLE decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    actor_id uuid REFERENCES users (id) ON DELETE SET NULL,
    kind text NOT NULL CHECK (kind IN (
        'link', 'unlink', 'invite', 'merge', 'split', 'move', 'reject', 'ignore', 'restore', 'cover', 'undo'
    )),
    subject jsonb NOT NULL,
    inverse jsonb NOT NULL,
    undone_by uuid REFERENCES decisions (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX decisions_event_idx ON decisions (event_id, created_at DESC);

-- "This face is not that person": remembered by every later run.
CREATE TABLE face_rejections (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_rejections_person_idx ON face_rejections (face_person_id);

-- "Is this face that person?": for a human to answer. Never a tag.
CREATE TABLE face_suggestions (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_suggestions_person_idx ON face_suggestions (face_person_id);

-- "Are these two one person?": ordered pair, so that it is asked once.
CREATE TABLE merge_suggestions (
    person_a_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    person_b_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_a_id, person_b_id),
    CHECK (person_a_id < person_b_id)
);
CREATE INDEX merge_suggestions_b_idx ON merge_suggestions (person_b_id);

CREATE TABLE invitations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    -- SHA-256 of the 256-bit token: the token itself is only in the mail.
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    email text NOT NULL,
    invited_by uuid REFERENCES users (id) ON DELETE SET NULL,
    expires_at timestamptz NOT NULL,
    answered_at timestamptz,
    answer text CHECK (answer IN ('accepted', 'declined')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((answered_at IS NULL) = (answer IS NULL)),
    CHECK (expires_at > created_at)
);
CREATE INDEX invitations_person_idx ON invitations (face_person_id);
CREATE INDEX invitations_event_idx ON invitations (event_id);

-- Proof that something was erased, without saying whose it was. No foreign key: it outlives the event.
CREATE TABLE purge_receipts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    -- {faces, persons, tags, invitations, thumbnails, decisions, suggestions}
    erased jsonb NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);

-- Refused credentials, counted by day and reason: no address, no token, no user.
CREATE TABLE auth_failures (
    day date NOT NULL DEFAULT current_date,
    reason text NOT NULL,
    failures bigint NOT NULL DEFAULT 1 CHECK (failures > 0),
    PRIMARY KEY (day, reason)
);

-- migrate:down
