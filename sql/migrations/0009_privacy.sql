-- migrate:up
-- Privacy: what is erased and when, and the proof of it. The functions of this file are the one place that knows
-- where personal data is; a table that comes to hold some is added here.

-- ---------------------------------------------------------------- tables

-- Null once erased: when the event is archived, and 30 days after the answer or the expiry.
ALTER TABLE invitations ALTER COLUMN email DROP NOT NULL;

-- An account that Trombi made for a guest who accepted an invitation goes with the last event that knows it.
DO $$
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        ALTER TABLE users ADD COLUMN IF NOT EXISTS made_by_invitation boolean NOT NULL DEFAULT false;
    END IF;
END
$$;

ALTER TABLE purge_receipts
    ADD COLUMN reason text NOT NULL DEFAULT 'purge'
        CHECK (reason IN ('purge', 'archive', 'consent', 'retention', 'event_deleted'));
CREATE INDEX purge_receipts_event_idx ON purge_receipts (event_id, requested_at DESC);
-- The receipt that a deletion belongs to: it is complete once the last of them is done.
ALTER TABLE outbox ADD COLUMN receipt_id uuid;
CREATE INDEX outbox_receipt_idx ON outbox (receipt_id) WHERE receipt_id IS NOT NULL;
-- What the retention looks for at each tick.
CREATE INDEX faces_retention_idx ON faces (created_at)
    WHERE embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL;
CREATE INDEX biometric_reads_age ON biometric_reads (day);
CREATE INDEX invitations_age ON invitations ((coalesce(answered_at, expires_at)))
    WHERE email IS NOT NULL OR message IS NOT NULL;
CREATE INDEX ml_jobs_unplaced_idx ON ml_jobs (completed_at) WHERE event_id IS NULL;
CREATE INDEX purge_receipts_open_idx ON purge_receipts (id) WHERE completed_at IS NULL;

-- ---------------------------------------------------------------- who may

-- The second lock behind functions/admin/access.py, for what runs with the owner's rights: a user's request is about
-- that user, or made by an organiser of the event. Without a user (a function, an operator) nothing is asked.
CREATE FUNCTION trombi_require_self_or_organiser(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF trombi_user_id() IS NULL AND coalesce(current_setting('role', true), 'none') <> 'trombi_reviewer' THEN
        RETURN;
    END IF;
    IF coalesce(trombi_user_id() = of_user, false) OR coalesce(trombi_is_organiser(of_event), false) THEN
        RETURN;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'not for this user';
END
$$;

-- ---------------------------------------------------------------- parts of erasing

-- The ids among the words of a JSON text, and whatever else stands between quotes, blanks and slashes.
CREATE FUNCTION trombi_words(content text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT string_to_table(translate(lower(content), ' /.,', '""""'), '"') $$;

-- Whether a JSON text holds one of the addresses.
CREATE FUNCTION trombi_holds_address(content text, addresses text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM unnest(addresses) AS address
        WHERE position(trim(BOTH '"' FROM to_jsonb(lower(address))::text) IN lower(content)) > 0
    )
$$;

-- A receipt, and with it the deletion of the objects. It says how much was erased, never whose.
CREATE FUNCTION trombi_give_receipt(of_event uuid, why text, counts jsonb, prefixes text[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE receipt purge_receipts;
BEGIN
    INSERT INTO purge_receipts (event_id, reason, erased, requested_at, completed_at)
    VALUES (of_event, why, counts, clock_timestamp(), CASE WHEN cardinality(prefixes) = 0 THEN clock_timestamp() END)
    RETURNING * INTO receipt;
    INSERT INTO outbox (kind, object_prefix, receipt_id)
    SELECT 'delete_objects', prefix, receipt.id FROM unnest(prefixes) AS prefix;
    RETURN to_jsonb(receipt);
END
$$;

-- Decisions that touched what is erased keep their place, kind and time in the history. Which persons, faces, users
-- and addresses they were about is gone, and with it the way to undo them.
CREATE FUNCTION trombi_forget_in_decisions(of_event uuid, ids uuid[], of_user uuid, addresses text[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    touched uuid[];
    forgotten integer;
BEGIN
    -- By the columns, and by what the images of rows hold: a row of the user, or any of the ids.
    touched := ARRAY(
        SELECT id FROM decisions
        WHERE event_id = of_event AND (
            person_ids && ids OR face_ids && ids OR of_user = ANY(user_ids)
            OR trombi_holds_address(subject::text || coalesce(inverse::text, ''), addresses)
            -- Not tagged_by_user_id: what an organiser decided on others stays theirs to undo.
            OR (subject::text || coalesce(inverse::text, ''))
                ~ ('"(linked_|tagged_)?user_id": "' || of_user::text || '"')
        )
        UNION
        SELECT id FROM decisions, trombi_words(subject::text || ' ' || coalesce(inverse::text, '')) AS word
        WHERE event_id = of_event AND word IN (SELECT unnest(ids)::text)
    );
    UPDATE decisions SET
        subject = jsonb_build_object(
            'erased', true, 'persons', cardinality(person_ids), 'faces', cardinality(face_ids)),
        inverse = NULL,
        actor_id = CASE WHEN actor_id IS DISTINCT FROM of_user THEN actor_id END,
        -- The others' ids stay: what was decided on them before cannot be undone past this.
        person_ids = ARRAY(SELECT id FROM unnest(person_ids) AS id WHERE id <> ALL(ids)),
        face_ids = ARRAY(SELECT id FROM unnest(face_ids) AS id WHERE id <> ALL(ids)),
        user_ids = ARRAY(SELECT id FROM unnest(user_ids) AS id WHERE id IS DISTINCT FROM of_user)
    WHERE id = ANY(touched);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- That somebody read biometrics that day stays; of whom does not.
CREATE FUNCTION trombi_forget_in_reads(of_event uuid, ids uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- In the order in which trombi_note_reads takes them.
    PERFORM 1 FROM biometric_reads WHERE event_id = of_event AND subject_id = ANY(ids) ORDER BY subject_id FOR UPDATE;
    WITH gone AS (
        DELETE FROM biometric_reads WHERE event_id = of_event AND subject_id = ANY(ids) RETURNING *
    )
    INSERT INTO biometric_reads (day, actor, event_id, what, subject_id, reads)
    SELECT day, actor, event_id, what, '00000000-0000-0000-0000-000000000000', sum(reads) FROM gone
    GROUP BY day, actor, event_id, what
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + excluded.reads;
END
$$;

-- What is biometric of faces goes: embedding, landmarks, pose, sharpness, thumbnail, and questions that were asked
-- by them. Box, person and size stay: by them nobody can be recognised.
CREATE FUNCTION trombi_strip_faces(of_event uuid, face_list uuid[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE stripped integer; suggested integer; with_embedding integer; with_thumbnail integer;
BEGIN
    SELECT count(embedding), count(thumbnail_object) INTO with_embedding, with_thumbnail
    FROM faces WHERE event_id = of_event AND id = ANY(face_list);
    UPDATE faces SET embedding = NULL, landmarks = NULL, sharpness = NULL, yaw = NULL, pitch = NULL, roll = NULL,
        thumbnail_object = NULL, updated_at = now()
    WHERE event_id = of_event AND id = ANY(face_list);
    GET DIAGNOSTICS stripped = ROW_COUNT;
    DELETE FROM face_suggestions WHERE face_id = ANY(face_list);
    GET DIAGNOSTICS suggested = ROW_COUNT;
    RETURN jsonb_build_object('faces', stripped, 'embeddings', with_embedding, 'thumbnails', with_thumbnail,
        'suggestions', suggested);
END
$$;

-- ---------------------------------------------------------------- purge

-- The persons of somebody: linked to the account, invited by the address, or named; with all that was merged into them.
CREATE FUNCTION trombi_persons_of(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS uuid[]
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH RECURSIVE theirs AS (
        SELECT id FROM face_persons
        WHERE event_id = of_event AND status <> 'merged'
            AND (linked_user_id = of_user OR lower(invitation_email) = ANY(addresses) OR id = of_person)
        UNION
        SELECT face_persons.id FROM face_persons JOIN theirs ON face_persons.merged_into_id = theirs.id
    )
    SELECT coalesce(array_agg(id), '{}') FROM theirs
$$;

-- Their faces: those of their persons, and those that a tag says are theirs, unless the face is held by another.
CREATE FUNCTION trombi_faces_of(of_event uuid, of_user uuid, person_list uuid[]) RETURNS uuid[]
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce(array_agg(id), '{}') FROM (
        SELECT id FROM faces WHERE event_id = of_event AND face_person_id = ANY(person_list)
        UNION
        SELECT faces.id FROM media_tags JOIN faces ON faces.id = media_tags.face_id
            LEFT JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.event_id = of_event AND media_tags.tagged_user_id = of_user
            AND (face_persons.id IS NULL OR face_persons.status IN ('pending', 'ignored'))
    ) AS theirs
$$;

-- An account that was made for a guest by an invitation leaves the event, and goes if that was the last one.
CREATE FUNCTION trombi_forget_guest(of_event uuid, of_user uuid) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE forgotten integer := 0;
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        DELETE FROM event_members USING users
        WHERE users.id = of_user AND users.made_by_invitation
            AND event_members.user_id = of_user AND event_members.event_id = of_event AND role = 'member';
        DELETE FROM users WHERE id = of_user AND made_by_invitation
            AND NOT EXISTS (SELECT FROM event_members WHERE user_id = of_user)
            AND NOT EXISTS (SELECT FROM face_persons WHERE linked_user_id = of_user)
            AND NOT EXISTS (SELECT FROM media_tags WHERE tagged_user_id = of_user);
        GET DIAGNOSTICS forgotten = ROW_COUNT;
    END IF;
    RETURN forgotten;
END
$$;

-- Everything of one person in one event, whoever they are known as. Locks like a decision (the event's counters
-- first), so that no detection, clustering or decision is written meanwhile.
CREATE FUNCTION trombi_erase(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    counts jsonb := '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
        ' "decisions": 0, "suggestions": 0, "accounts": 0}';
    person_list uuid[];
    face_list uuid[];
    invitation_list uuid[];
    ids uuid[];
    prefixes text[];
    bereft uuid[];
    photos integer;
    n integer;
    m integer;
BEGIN
    INSERT INTO event_counters (event_id) VALUES (of_event) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;

    person_list := trombi_persons_of(of_event, of_user, of_person, addresses);
    face_list := trombi_faces_of(of_event, of_user, person_list);
    invitation_list := ARRAY(
        SELECT id FROM invitations
        WHERE event_id = of_event AND (face_person_id = ANY(person_list) OR lower(email) = ANY(addresses))
    );
    ids := person_list || face_list || invitation_list;
    prefixes := ARRAY(
        SELECT thumbnail_object FROM faces WHERE id = ANY(face_list) AND thumbnail_object IS NOT NULL ORDER BY 1
    );
    bereft := ARRAY(
        SELECT DISTINCT face_person_id FROM faces
        WHERE id = ANY(face_list) AND face_person_id <> ALL(person_list)
    );
    SELECT count(*), count(embedding), count(DISTINCT media_id) INTO n, m, photos FROM faces WHERE id = ANY(face_list);
    counts := counts || jsonb_build_object('faces', n, 'embeddings', m, 'thumbnails', cardinality(prefixes),
        'persons', cardinality(person_list), 'invitations', cardinality(invitation_list));

    -- So that no later detection brings them back. A place in a photo is no biometric.
    INSERT INTO face_tombstones (media_id, event_id, bbox)
    SELECT media_id, event_id, bbox FROM faces WHERE id = ANY(face_list);

    -- Every tag of the user in the event, whoever made it: being found in its photos is what they no longer want.
    DELETE FROM media_tags USING media
    WHERE media.id = media_tags.media_id AND media.event_id = of_event AND (
        tagged_user_id = of_user OR (face_id = ANY(face_list) AND source IN ('face_clustering', 'suggested'))
    );
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('tags', n);

    DELETE FROM face_suggestions WHERE face_id = ANY(face_list) OR face_person_id = ANY(person_list);
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM merge_suggestions WHERE person_a_id = ANY(person_list) OR person_b_id = ANY(person_list);
    GET DIAGNOSTICS m = ROW_COUNT;
    counts := counts || jsonb_build_object('suggestions', n + m);

    n := trombi_forget_in_decisions(of_event, ids, of_user, addresses);
    counts := counts || jsonb_build_object('decisions', n);
    PERFORM trombi_forget_in_reads(of_event, ids || of_user);
    DELETE FROM idempotency_keys
    WHERE (event_id = of_event OR event_id IS NULL) AND answer IS NOT NULL AND (
        trombi_holds_address(answer::text, addresses)
        OR EXISTS (SELECT FROM trombi_words(answer::text) AS word WHERE word IN (SELECT unnest(ids || of_user)::text))
    );

    DELETE FROM invitations WHERE id = ANY(invitation_list);
    DELETE FROM face_persons WHERE id = ANY(person_list);
    UPDATE face_persons SET linked_user_id = NULL WHERE event_id = of_event AND linked_user_id = of_user;
    DELETE FROM faces WHERE id = ANY(face_list);
    counts := counts || jsonb_build_object('accounts', trombi_forget_guest(of_event, of_user));

    -- The others' counts are right at once; clustering does the rest.
    UPDATE face_persons SET version = version + 1, updated_at = now(),
        metadata = metadata || jsonb_build_object('face_count', (
            SELECT count(*) FROM faces WHERE face_person_id = face_persons.id))
    WHERE id = ANY(bereft);
    IF counts <> '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
        ' "decisions": 0, "suggestions": 0, "accounts": 0}' THEN
        UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    END IF;
    IF photos > 0 THEN
        UPDATE event_counters SET changed_photos = changed_photos + photos,
            first_change_at = coalesce(first_change_at, clock_timestamp())
        WHERE event_id = of_event
            AND EXISTS (SELECT FROM events WHERE id = of_event AND face_recognition_enabled AND archived_at IS NULL);
    END IF;
    RETURN trombi_give_receipt(of_event, 'purge', counts, prefixes);
END
$$;

-- Nothing is said of whether there is such an event: a stranger's request and one that finds nothing look the same.
CREATE FUNCTION trombi_empty_receipt(of_event uuid) RETURNS jsonb
    LANGUAGE sql VOLATILE SET search_path = public, pg_temp AS $$
    SELECT jsonb_build_object('id', gen_random_uuid(), 'event_id', of_event, 'reason', 'purge',
        'erased', '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
            ' "decisions": 0, "suggestions": 0, "accounts": 0}'::jsonb,
        'requested_at', clock_timestamp(), 'completed_at', clock_timestamp())
$$;

-- Erase all that the event holds on a user; answers the receipt. Doing it twice gives an empty one.
CREATE FUNCTION purge_face_data_for_user(purged_user uuid, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, purged_user);
    IF NOT EXISTS (SELECT FROM events WHERE id = of_event) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    RETURN trombi_erase(of_event, purged_user, NULL, ARRAY(
        SELECT lower(email) FROM users WHERE id = purged_user AND email <> ''
    ));
END
$$;

-- The same for a person of an event, who may have no account. A person who is linked to one is that user.
CREATE FUNCTION purge_face_data_for_person(purged_person uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE survivor face_persons;
BEGIN
    WITH RECURSIVE upwards AS (
        SELECT * FROM face_persons WHERE id = purged_person
        UNION
        SELECT face_persons.* FROM face_persons JOIN upwards ON face_persons.id = upwards.merged_into_id
    )
    SELECT * INTO survivor FROM upwards WHERE status <> 'merged';
    IF survivor.id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM trombi_require_self_or_organiser(survivor.event_id, survivor.linked_user_id);
    RETURN trombi_erase(survivor.event_id, survivor.linked_user_id, survivor.id, ARRAY(
        SELECT lower(address) FROM (
            SELECT survivor.invitation_email AS address
            UNION
            SELECT email FROM users WHERE id = survivor.linked_user_id
        ) AS known WHERE address <> ''
    ));
END
$$;

-- The same for an address that somebody was invited by. Where it is an account's, that user is meant.
CREATE FUNCTION purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE accounts uuid[];
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    IF NOT EXISTS (SELECT FROM events WHERE id = of_event) OR trim(purged_address) = '' THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    accounts := ARRAY(SELECT id FROM users WHERE lower(email) = lower(trim(purged_address)));
    RETURN trombi_erase(of_event, CASE WHEN cardinality(accounts) = 1 THEN accounts[1] END, NULL,
        ARRAY[lower(trim(purged_address))]);
END
$$;

-- ---------------------------------------------------------------- archive, consent, deletion

-- Everything biometric of the event goes when it is archived and when consent is withdrawn, whoever does it. Boxes,
-- persons and confirmed tags stay, as counts and as what people said. Open invitations are withdrawn.
CREATE FUNCTION cleanup_face_embeddings_on_event_archive() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    counts jsonb;
    addresses text[];
    withdrawn uuid[];
    n integer;
BEGIN
    -- The event's row is locked already: whoever writes faces or persons holds it FOR SHARE until the commit.
    PERFORM 1 FROM event_counters WHERE event_id = NEW.id FOR NO KEY UPDATE;
    counts := trombi_strip_faces(NEW.id, ARRAY(
        SELECT id FROM faces WHERE event_id = NEW.id
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL
                OR sharpness IS NOT NULL OR yaw IS NOT NULL)
    ));
    DELETE FROM face_suggestions USING face_persons
    WHERE face_persons.id = face_suggestions.face_person_id AND face_persons.event_id = NEW.id;
    DELETE FROM merge_suggestions USING face_persons
    WHERE face_persons.id = merge_suggestions.person_a_id AND face_persons.event_id = NEW.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('suggestions', (counts ->> 'suggestions')::integer + n);

    addresses := ARRAY(
        SELECT lower(email) FROM invitations WHERE event_id = NEW.id AND email IS NOT NULL
        UNION SELECT lower(invitation_email) FROM face_persons WHERE event_id = NEW.id AND invitation_email IS NOT NULL
    );
    withdrawn := ARRAY(SELECT id FROM invitations WHERE event_id = NEW.id AND answered_at IS NULL);
    DELETE FROM invitations WHERE id = ANY(withdrawn);
    UPDATE invitations SET email = NULL, message = NULL WHERE event_id = NEW.id;
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = NEW.id AND status = 'invited';
    counts := counts || jsonb_build_object('invitations', cardinality(withdrawn), 'decisions',
        trombi_forget_in_decisions(NEW.id, withdrawn, NULL, addresses));
    DELETE FROM idempotency_keys WHERE event_id = NEW.id AND answer IS NOT NULL;

    -- Nothing is to be clustered any more.
    UPDATE event_counters SET changed_photos = 0, first_change_at = NULL, decision_version = decision_version + 1
    WHERE event_id = NEW.id;
    PERFORM trombi_give_receipt(
        NEW.id, CASE WHEN NEW.archived_at IS NOT NULL AND OLD.archived_at IS NULL THEN 'archive' ELSE 'consent' END,
        counts,
        -- By prefix: also what a run that died left behind.
        ARRAY['events/' || NEW.id || '/']
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_erase_biometrics AFTER UPDATE OF archived_at, face_recognition_enabled ON events
    FOR EACH ROW WHEN (
        (OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL)
        OR (OLD.face_recognition_enabled AND NOT NEW.face_recognition_enabled)
    ) EXECUTE FUNCTION cleanup_face_embeddings_on_event_archive();

-- The consent log, complete also where the host app writes the event's row itself.
CREATE FUNCTION trombi_log_consent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO event_consents (event_id, enabled, text_version, actor_id)
    VALUES (NEW.id, NEW.face_recognition_enabled, NEW.consent_text_version, trombi_user_id());
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_log_first_consent AFTER INSERT ON events
    FOR EACH ROW WHEN (NEW.face_recognition_enabled) EXECUTE FUNCTION trombi_log_consent();
CREATE TRIGGER trombi_log_consent AFTER UPDATE OF face_recognition_enabled, consent_text_version ON events
    FOR EACH ROW WHEN (
        OLD.face_recognition_enabled IS DISTINCT FROM NEW.face_recognition_enabled
        OR (NEW.face_recognition_enabled AND OLD.consent_text_version IS DISTINCT FROM NEW.consent_text_version)
    ) EXECUTE FUNCTION trombi_log_consent();
-- Consent that was given before there was a log.
INSERT INTO event_consents (event_id, enabled, text_version, at)
SELECT id, true, consent_text_version, coalesce(consented_at, now()) FROM events
WHERE face_recognition_enabled AND NOT EXISTS (SELECT FROM event_consents WHERE event_id = events.id);

-- What foreign keys do not reach when an event is deleted.
CREATE FUNCTION trombi_erase_deleted_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE counts jsonb;
BEGIN
    SELECT jsonb_build_object('faces', count(*), 'embeddings', count(embedding), 'thumbnails', count(thumbnail_object))
    INTO counts FROM faces WHERE event_id = OLD.id;
    counts := counts || jsonb_build_object(
        'persons', (SELECT count(*) FROM face_persons WHERE event_id = OLD.id),
        'invitations', (SELECT count(*) FROM invitations WHERE event_id = OLD.id),
        'decisions', (SELECT count(*) FROM decisions WHERE event_id = OLD.id));
    PERFORM trombi_forget_in_reads(
        OLD.id, ARRAY(SELECT DISTINCT subject_id FROM biometric_reads WHERE event_id = OLD.id));
    DELETE FROM idempotency_keys WHERE event_id = OLD.id;
    DELETE FROM dead_letters USING ml_jobs WHERE ml_jobs.id = dead_letters.job_id AND ml_jobs.event_id = OLD.id;
    PERFORM trombi_give_receipt(OLD.id, 'event_deleted', counts, ARRAY['events/' || OLD.id || '/']);
    RETURN OLD;
END
$$;
CREATE TRIGGER trombi_erase_event BEFORE DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION trombi_erase_deleted_event();

-- The switches of the API; true when something changed. Consent needs the version of the text that was shown.
CREATE FUNCTION trombi_set_consent(of_event uuid, enabled boolean, text_version text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET face_recognition_enabled = enabled,
        consent_text_version = CASE WHEN enabled THEN text_version ELSE consent_text_version END,
        consented_at = CASE WHEN enabled THEN now() ELSE consented_at END
    WHERE id = of_event AND (
        face_recognition_enabled IS DISTINCT FROM enabled
        OR (enabled AND consent_text_version IS DISTINCT FROM text_version)
    );
    RETURN FOUND;
END
$$;
CREATE FUNCTION trombi_archive(of_event uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET archived_at = now() WHERE id = of_event AND archived_at IS NULL;
    RETURN FOUND;
END
$$;

-- ---------------------------------------------------------------- retention

-- Biometrics of one event that are older than they may be, up to ``most`` faces; how many there were.
CREATE FUNCTION erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    face_list uuid[];
    prefixes text[];
BEGIN
    SELECT event_id INTO of_event FROM faces
    WHERE created_at < clock_timestamp() - age
        AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
    ORDER BY created_at LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(thumbnail_object) FILTER (
        WHERE thumbnail_object IS NOT NULL), '{}') INTO face_list, prefixes
    FROM (
        SELECT id, thumbnail_object FROM faces
        WHERE event_id = of_event AND created_at < clock_timestamp() - age
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
        ORDER BY created_at LIMIT most
    ) AS old;
    IF cardinality(face_list) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM trombi_give_receipt(of_event, 'retention', trombi_strip_faces(of_event, face_list), prefixes);
    RETURN cardinality(face_list);
END
$$;

-- Addresses of invitations that were answered, or expired, longer ago than ``age``; how many there were.
CREATE FUNCTION erase_addresses_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    old uuid[];
    addresses text[];
BEGIN
    SELECT event_id INTO of_event FROM invitations
    WHERE (email IS NOT NULL OR message IS NOT NULL) AND coalesce(answered_at, expires_at) < clock_timestamp() - age
    ORDER BY coalesce(answered_at, expires_at) LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT array_agg(id), array_agg(DISTINCT lower(email)) FILTER (WHERE email IS NOT NULL) INTO old, addresses
    FROM (
        SELECT id, email FROM invitations
        WHERE event_id = of_event AND (email IS NOT NULL OR message IS NOT NULL)
            AND coalesce(answered_at, expires_at) < clock_timestamp() - age
        ORDER BY created_at LIMIT most
    ) AS found;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE invitations SET email = NULL, message = NULL WHERE id = ANY(old);
    -- An address that was written to again since stays with the newer invitation.
    addresses := ARRAY(
        SELECT address FROM unnest(addresses) AS address
        WHERE NOT EXISTS (SELECT FROM invitations WHERE event_id = of_event AND lower(email) = address)
    );
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = of_event AND lower(invitation_email) = ANY(addresses);
    PERFORM trombi_forget_in_decisions(of_event, '{}', NULL, addresses);
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    RETURN cardinality(old);
END
$$;

-- ---------------------------------------------------------------- audit and export

-- Count reads of biometrics. Sorted, so that two requests that read the same faces do not wait for each other.
CREATE FUNCTION trombi_note_reads(by_actor text, of_event uuid, of_what text, subjects uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO biometric_reads (actor, event_id, what, subject_id)
    SELECT DISTINCT by_actor, of_event, of_what, subject FROM unnest(subjects) AS subject
    -- Nobody reads as another.
    WHERE trombi_user_id() IS NULL OR by_actor = trombi_user_id()::text
    ORDER BY subject
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + 1
$$;

-- All that is held on a user, in one event or (null) in all, as JSON; null where there is nothing to say. Embeddings
-- and landmarks are for the user alone, and so is what was read of them; nobody else's account is named.
CREATE FUNCTION trombi_export(of_user uuid, of_event uuid, embeddings boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    is_own boolean := trombi_user_id() IS NULL OR trombi_user_id() = of_user;
    account users;
    person_list uuid[];
    face_list uuid[];
    result jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, of_user);
    SELECT * INTO account FROM users WHERE id = of_user;
    IF account.id IS NULL OR NOT is_own AND NOT trombi_concerns(of_user, of_event) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO person_list FROM (
        SELECT unnest(trombi_persons_of(events.id, of_user, NULL, ARRAY[lower(account.email)])) AS id FROM events
        WHERE (of_event IS NULL OR events.id = of_event) AND (
            EXISTS (SELECT FROM face_persons WHERE event_id = events.id
                AND (linked_user_id = of_user OR lower(invitation_email) = lower(account.email)))
        )
    ) AS found;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO face_list FROM (
        SELECT id FROM faces WHERE face_person_id = ANY(person_list)
        UNION
        SELECT unnest(trombi_faces_of(media.event_id, of_user, '{}')) FROM media_tags
        JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)
    ) AS found;
    result := jsonb_build_object(
        'exported_at', clock_timestamp(),
        'account', jsonb_build_object('id', account.id, 'display_name', account.display_name,
            'created_at', account.created_at) || CASE WHEN is_own
                THEN jsonb_build_object('email', account.email) ELSE '{}' END,
        'memberships', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'event_name', events.name,
                'role', role) ORDER BY event_id), '[]')
            FROM event_members JOIN events ON events.id = event_id
            WHERE user_id = of_user AND (of_event IS NULL OR event_id = of_event)),
        'persons', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'status', status,
                'merged_into_id', merged_into_id, 'invitation_email', invitation_email, 'created_at', created_at,
                'updated_at', updated_at) ORDER BY created_at, id), '[]')
            FROM face_persons WHERE id = ANY(person_list)),
        'faces', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', faces.id, 'event_id', faces.event_id,
                'media_id', media_id, 'photo', media.object_name, 'person_id', face_person_id, 'bbox', bbox,
                'quality_score', quality_score, 'size_px', size_px, 'sharpness', sharpness, 'yaw', yaw,
                'pitch', pitch, 'roll', roll, 'placed_by_human', placed_by_human, 'thumbnail', thumbnail_object,
                'created_at', faces.created_at, 'updated_at', faces.updated_at)
                || CASE WHEN is_own AND embeddings THEN jsonb_build_object('embedding_model', embedding_model,
                    'embedding', to_jsonb(embedding::real[]), 'landmarks', landmarks) ELSE '{}' END
                ORDER BY faces.created_at, faces.id), '[]')
            FROM faces JOIN media ON media.id = media_id WHERE faces.id = ANY(face_list)),
        'tags', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', media.event_id, 'media_id', media.id,
                'photo', media.object_name, 'source', source, 'bbox', media_tags.bbox, 'face_id', face_id,
                'created_at', media_tags.created_at) ORDER BY media_tags.created_at, media.id), '[]')
            FROM media_tags JOIN media ON media.id = media_id
            WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)),
        'suggestions', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', faces.event_id,
                'media_id', media_id, 'face_id', face_id, 'score', score) ORDER BY score DESC, face_id), '[]')
            FROM face_suggestions JOIN faces ON faces.id = face_id
            WHERE face_suggestions.face_person_id = ANY(person_list)),
        'invitations', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id,
                'person_id', face_person_id, 'email', email, 'message', message, 'language', language,
                'created_at', created_at, 'sent_at', sent_at, 'expires_at', expires_at, 'answer', answer,
                'answered_at', answered_at) ORDER BY created_at, id), '[]')
            FROM invitations WHERE (lower(email) = lower(account.email) OR face_person_id = ANY(person_list))
                AND (of_event IS NULL OR event_id = of_event)),
        'decisions', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'kind', kind,
                'made_by_you', coalesce(actor_id = of_user, false), 'undone', undone_by IS NOT NULL,
                'created_at', created_at) ORDER BY created_at, id), '[]')
            FROM decisions WHERE (of_event IS NULL OR event_id = of_event)
                AND (actor_id = of_user OR of_user = ANY(user_ids) OR person_ids && person_list
                    OR face_ids && face_list)),
        'consents', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'enabled', enabled,
                'text_version', text_version, 'at', at) ORDER BY at, id), '[]')
            FROM event_consents WHERE actor_id = of_user AND (of_event IS NULL OR event_id = of_event))
    );
    IF is_own THEN
        result := result || jsonb_build_object('reads', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('day', day, 'event_id', event_id, 'what', what,
                'reads', reads, 'by', CASE WHEN actor = of_user::text THEN 'you'
                    WHEN actor IN ('service', 'invitation') THEN actor ELSE 'an organiser' END)
                ORDER BY day, event_id, what), '[]')
            FROM (
                SELECT day, event_id, what, actor, sum(reads) AS reads FROM biometric_reads
                WHERE subject_id = ANY(person_list || face_list || of_user)
                    AND (of_event IS NULL OR event_id = of_event)
                GROUP BY day, event_id, what, actor
            ) AS summed
        ));
    END IF;
    RETURN result;
END
$$;

-- Whether the event has anything to do with the user.
CREATE FUNCTION trombi_concerns(of_user uuid, of_event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM event_members WHERE event_id = of_event AND user_id = of_user)
        OR EXISTS (SELECT FROM face_persons WHERE event_id = of_event AND linked_user_id = of_user)
        OR EXISTS (SELECT FROM media_tags JOIN media ON media.id = media_id
            WHERE media.event_id = of_event AND tagged_user_id = of_user)
        OR EXISTS (SELECT FROM invitations JOIN users ON lower(users.email) = lower(invitations.email)
            WHERE invitations.event_id = of_event AND users.id = of_user)
$$;

-- ---------------------------------------------------------------- rights

-- Functions are everybody's when they are made; these are the owner's, and some the reviewer's.
DO $$
DECLARE
    of_role text;
    name text;
    owned CONSTANT text[] := ARRAY[
        'trombi_require_self_or_organiser(uuid, uuid)', 'trombi_words(text)', 'trombi_holds_address(text, text[])',
        'trombi_give_receipt(uuid, text, jsonb, text[])', 'trombi_forget_in_decisions(uuid, uuid[], uuid, text[])',
        'trombi_forget_in_reads(uuid, uuid[])', 'trombi_strip_faces(uuid, uuid[])',
        'trombi_persons_of(uuid, uuid, uuid, text[])', 'trombi_faces_of(uuid, uuid, uuid[])',
        'trombi_erase(uuid, uuid, uuid, text[])', 'trombi_empty_receipt(uuid)',
        'erase_biometrics_older_than(interval, integer)', 'erase_addresses_older_than(interval, integer)',
        'cleanup_face_embeddings_on_event_archive()', 'trombi_log_consent()', 'trombi_erase_deleted_event()',
        'trombi_concerns(uuid, uuid)', 'trombi_forget_guest(uuid, uuid)'
    ];
    reviewed CONSTANT text[] := ARRAY[
        'purge_face_data_for_user(uuid, uuid)', 'purge_face_data_for_person(uuid)',
        'purge_face_data_for_address(text, uuid)', 'trombi_set_consent(uuid, boolean, text)', 'trombi_archive(uuid)',
        'trombi_note_reads(text, uuid, text, uuid[])', 'trombi_export(uuid, uuid, boolean)'
    ];
BEGIN
    FOREACH name IN ARRAY owned || reviewed LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
    FOREACH name IN ARRAY reviewed LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO trombi_reviewer', name);
    END LOOP;
END
$$;

-- migrate:down
