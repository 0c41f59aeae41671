-- migrate:up
-- Covers that are never gone for good, and the question whether a person is two people.

-- ---------------------------------------------------------------- covers

-- The face that stands for a person, as functions/cluster/representative.py chooses it after a run: the best by
-- quality, frontality, sharpness and size, the smallest id among equals. A face that was erased has no picture and
-- comes last. Null for a person without faces.
CREATE OR REPLACE FUNCTION trombi_best_cover(of_person uuid) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT id FROM faces WHERE face_person_id = of_person
    ORDER BY thumbnail_object IS NULL,
        quality_score::float8
            * CASE WHEN yaw IS NULL THEN 0.5 WHEN abs(yaw) < 90 THEN cos(radians(yaw::float8)) ELSE 0 END
            * CASE WHEN pitch IS NULL THEN 0.5 WHEN abs(pitch) < 90 THEN cos(radians(pitch::float8)) ELSE 0 END
            * CASE WHEN sharpness IS NULL THEN 0.5 ELSE sharpness::float8 / (sharpness::float8 + 100) END
            * least(1, size_px / 112.0::float8) DESC,
        id
    LIMIT 1
$$;

-- Whichever way a face goes (photo deleted, purge, a host that deletes rows), the person that it stood for has another
-- cover at once, though no clustering follows. The foreign key has set it null by then.
CREATE OR REPLACE FUNCTION trombi_replace_covers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    WITH bereft AS (
        SELECT id FROM face_persons
        WHERE id IN (SELECT face_person_id FROM gone) AND representative_face_id IS NULL AND status <> 'merged'
        ORDER BY id FOR UPDATE
    ), covers AS MATERIALIZED (
        SELECT id, trombi_best_cover(id) AS face_id FROM bereft
    )
    UPDATE face_persons SET representative_face_id = covers.face_id, cover_chosen_by_human = false, updated_at = now()
    FROM covers WHERE face_persons.id = covers.id AND (covers.face_id IS NOT NULL OR cover_chosen_by_human);
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER trombi_replace_covers AFTER DELETE ON faces
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_replace_covers();

-- What was blank before this.
UPDATE face_persons SET representative_face_id = trombi_best_cover(id), cover_chosen_by_human = false
WHERE status <> 'merged' AND representative_face_id IS NULL
    AND (cover_chosen_by_human OR trombi_best_cover(id) IS NOT NULL);

-- ---------------------------------------------------------------- one person or two?

-- "Are these faces of the person somebody else?": the smaller half, for a human to answer.
CREATE TABLE IF NOT EXISTS split_suggestions (
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    -- 1 - the mean cosine between the halves, or between two faces that stand side by side; the same for all rows of a person.
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_person_id, face_id)
);
CREATE INDEX IF NOT EXISTS split_suggestions_face_idx ON split_suggestions (face_id);

-- The answer "one person": never asked again.
ALTER TABLE face_persons ADD COLUMN IF NOT EXISTS said_to_be_one boolean NOT NULL DEFAULT false;
ALTER TABLE decisions
    DROP CONSTRAINT IF EXISTS decisions_kind_check,
    ADD CONSTRAINT decisions_kind_check CHECK (kind IN (
        'link', 'unlink', 'invite', 'accept', 'decline', 'merge', 'split', 'move', 'reject', 'distinct', 'one_person',
        'ignore', 'restore', 'cover', 'undo'
    )) NOT VALID;
ALTER TABLE decisions VALIDATE CONSTRAINT decisions_kind_check;

-- Questions that were asked by an embedding go with it: archive, consent, retention.
CREATE OR REPLACE FUNCTION trombi_forget_split_suggestions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM split_suggestions WHERE face_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER trombi_forget_split_suggestions AFTER UPDATE OF embedding ON faces
    FOR EACH ROW WHEN (OLD.embedding IS NOT NULL AND NEW.embedding IS NULL)
    EXECUTE FUNCTION trombi_forget_split_suggestions();

-- ---------------------------------------------------------------- rights

ALTER TABLE split_suggestions ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    of_role text;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'trombi_best_cover(uuid)', 'trombi_replace_covers()', 'trombi_forget_split_suggestions()'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
    FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON split_suggestions FROM %I', of_role);
        FOREACH name IN ARRAY ARRAY[
            'trombi_best_cover(uuid)', 'trombi_replace_covers()', 'trombi_forget_split_suggestions()'
        ] LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION trombi_best_cover(uuid) TO trombi_reviewer;
GRANT UPDATE (said_to_be_one) ON face_persons TO trombi_reviewer;
GRANT SELECT ON split_suggestions TO trombi_reviewer;
DO $$
BEGIN
    CREATE POLICY organisers_see_splits ON split_suggestions FOR SELECT TO trombi_reviewer USING (
        EXISTS (
            SELECT FROM face_persons
            WHERE id = face_person_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
        )
    );
EXCEPTION WHEN duplicate_object THEN NULL;
END
$$;

-- migrate:down
