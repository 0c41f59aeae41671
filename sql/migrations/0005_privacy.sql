-- migrate:up
-- What is erased and when, and the proof of it. The functions of this file are the one place that knows where personal
-- data is: a table that comes to hold some is added here.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- ---------------------------------------------------------------- what outlives the data

-- The consent log, kept apart from the biometrics, and longer. No foreign key: it outlives the event.
CREATE TABLE event_consents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    enabled boolean NOT NULL,
    text_version text,
    actor_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_consents_event ON event_consents (event_id, at DESC);

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
CREATE INDEX biometric_reads_age ON biometric_reads (day);
CREATE INDEX biometric_reads_subject_idx ON biometric_reads (subject_id);

-- Proof that something was erased, without saying whose it was. No foreign key: it outlives the event.
CREATE TABLE purge_receipts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL,
    reason text NOT NULL DEFAULT 'purge' CHECK (
        reason IN ('purge', 'archive', 'consent', 'retention', 'event_deleted', 'account_deleted')
    ),
    -- {faces, embeddings, persons, tags, invitations, thumbnails, decisions, suggestions, accounts}
    erased jsonb NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
CREATE INDEX purge_receipts_event_idx ON purge_receipts (event_id, requested_at DESC);
CREATE INDEX purge_receipts_open_idx ON purge_receipts (id) WHERE completed_at IS NULL;

-- Where a purged face was: a later detection does not bring it back. No biometric: checksum and hash are of the whole
-- photo, of which a face is a few bits. It outlives the photo's row: a host may delete that and upload the same picture
-- under the same id.
CREATE TABLE face_tombstones (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    crc32c text,
    picture_hash bytea CHECK (octet_length(picture_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT face_tombstones_event_fkey FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX face_tombstones_media_idx ON face_tombstones (media_id);
CREATE INDEX face_tombstones_event_idx ON face_tombstones (event_id);

-- Whoever makes a tombstone: it is of the picture that the photo's faces were found in.
CREATE FUNCTION trombi_name_picture_of_tombstone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    IF NEW.crc32c IS NULL THEN
        SELECT faces_crc32c, faces_picture_hash INTO NEW.crc32c, NEW.picture_hash FROM media WHERE id = NEW.media_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_name_picture BEFORE INSERT ON face_tombstones
    FOR EACH ROW EXECUTE FUNCTION trombi_name_picture_of_tombstone();

-- A deleted photo stays deleted: messages of its uploads may still come. Ids and a number, nothing personal.
CREATE TABLE deleted_photos (
    media_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    -- Newest generation of its objects that was known, 0 for none.
    generation bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the tick ended its open jobs and asked for clustering.
    settled_at timestamptz
);
CREATE INDEX deleted_photos_unsettled_idx ON deleted_photos (deleted_at) WHERE settled_at IS NULL;
CREATE INDEX deleted_photos_age ON deleted_photos (deleted_at);

-- Whether an upload belongs to a photo whose row, or whose event, was deleted after it: by its generation, or, where that
-- was not known yet, by its time. Whoever uploads later makes a new photo.
CREATE FUNCTION trombi_was_deleted(
    of_media uuid, of_event uuid, upload_generation bigint, uploaded_at timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM deleted_photos
        WHERE media_id = of_media AND (generation >= upload_generation OR deleted_at >= uploaded_at)
    ) OR EXISTS (
        SELECT FROM purge_receipts
        WHERE event_id = of_event AND reason = 'event_deleted' AND requested_at >= uploaded_at
    )
$$;

-- ---------------------------------------------------------------- parts of erasing

-- The ids among the words of a JSON text, and whatever else stands between quotes, blanks and slashes.
CREATE FUNCTION trombi_words(content text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp
    AS $$ SELECT string_to_table(translate(lower(content), ' /.,', '""""'), '"') $$;

-- Whether a JSON text holds one of the addresses, in whatever spelling.
CREATE FUNCTION trombi_holds_address(content text, addresses text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = trombi, pg_temp AS $$
    SELECT cardinality(addresses) > 0 AND EXISTS (
        SELECT FROM regexp_matches(content, '[^[:space:]"\\<>(),;:]+[@＠﹫][^[:space:]"\\<>(),;:]+', 'g') AS found
        WHERE trombi_address(found[1]) = ANY(addresses)
    )
$$;

-- A receipt, and with it the deletion of the objects. It says how much was erased, never whose.
CREATE FUNCTION trombi_give_receipt(of_event uuid, why text, counts jsonb, prefixes text[]) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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

-- The second of two receipts goes into the first: the counts of both, and the objects of both to be erased.
CREATE FUNCTION trombi_join_receipts(kept jsonb, joined jsonb) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE receipt purge_receipts;
BEGIN
    UPDATE outbox SET receipt_id = (kept ->> 'id')::uuid WHERE receipt_id = (joined ->> 'id')::uuid;
    DELETE FROM purge_receipts WHERE id = (joined ->> 'id')::uuid;
    UPDATE purge_receipts SET
        erased = (
            SELECT jsonb_object_agg(key, value::integer + coalesce((joined -> 'erased' ->> key)::integer, 0))
            FROM jsonb_each_text(purge_receipts.erased)
        ),
        completed_at = CASE WHEN joined ->> 'completed_at' IS NOT NULL THEN completed_at END
    WHERE id = (kept ->> 'id')::uuid RETURNING * INTO receipt;
    RETURN to_jsonb(receipt);
END
$$;

-- Nothing is said of whether there is such an event: a stranger's request and one that finds nothing look the same.
CREATE FUNCTION trombi_empty_receipt(of_event uuid) RETURNS jsonb
    LANGUAGE sql VOLATILE SET search_path = trombi, pg_temp AS $$
    SELECT jsonb_build_object('id', gen_random_uuid(), 'event_id', of_event, 'reason', 'purge',
        'erased', '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
            ' "decisions": 0, "suggestions": 0, "accounts": 0}'::jsonb,
        'requested_at', clock_timestamp(), 'completed_at', clock_timestamp())
$$;

-- Decisions that touched what is erased keep their place, kind and time in the history. Which persons, faces, users
-- and addresses they were about is gone, and with it the way to undo them.
CREATE FUNCTION trombi_forget_in_decisions(of_event uuid, ids uuid[], of_user uuid, addresses text[]) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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

-- ---------------------------------------------------------------- the order of locks (ARCHITECTURE.md)

-- Before an event's counters are locked: the rows above them in the order, which foreign keys would lock after them.
-- The users (given, and linked to the persons), the event, the photos of the persons and faces. Each in the order of
-- its ids, and no more than a foreign key does: two who only refer to a row do not wait for each other.
CREATE FUNCTION trombi_hold_rows(of_event uuid, user_list uuid[], person_list uuid[], face_list uuid[])
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    all_persons uuid[] := person_list || ARRAY(
        SELECT face_person_id FROM faces WHERE id = ANY(face_list) AND face_person_id IS NOT NULL);
    all_users uuid[] := user_list || ARRAY(
        SELECT linked_user_id FROM face_persons WHERE id = ANY(all_persons) AND linked_user_id IS NOT NULL);
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, user_list[1]);
    PERFORM 1 FROM users WHERE id = ANY(all_users) ORDER BY id FOR KEY SHARE;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM media WHERE id IN (
        SELECT media_id FROM faces
        WHERE event_id = of_event AND (face_person_id = ANY(all_persons) OR id = ANY(face_list))
    ) ORDER BY id FOR KEY SHARE;
END
$$;

-- ---------------------------------------------------------------- purge

-- The persons of somebody: linked to the account (also to one that was deleted, as long as the person is nobody
-- else's), invited by the address, or named; with all that was merged into them.
CREATE FUNCTION trombi_persons_of(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS uuid[] LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    WITH RECURSIVE theirs AS (
        SELECT id FROM face_persons
        WHERE event_id = of_event AND status <> 'merged' AND (
            linked_user_id = of_user OR invitation_email = ANY(addresses) OR id = of_person
            OR (status <> 'linked' AND (
                former_user_hash = trombi_user_hash(id, of_user) OR EXISTS (
                    SELECT FROM face_persons AS gone
                    WHERE gone.merged_into_id = face_persons.id
                        AND gone.former_user_hash = trombi_user_hash(gone.id, of_user)
                )
            ))
        )
        UNION
        SELECT face_persons.id FROM face_persons JOIN theirs ON face_persons.merged_into_id = theirs.id
    )
    SELECT coalesce(array_agg(id), '{}') FROM theirs
$$;

-- Their faces: those of their persons, and those that a tag says are theirs, unless the face is held by another.
CREATE FUNCTION trombi_faces_of(of_event uuid, of_user uuid, person_list uuid[]) RETURNS uuid[]
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT coalesce(array_agg(id), '{}') FROM (
        SELECT id FROM faces WHERE event_id = of_event AND face_person_id = ANY(person_list)
        UNION
        SELECT faces.id FROM media_tags JOIN faces ON faces.id = media_tags.face_id
            LEFT JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.event_id = of_event AND media_tags.tagged_user_id = of_user
            AND (face_persons.id IS NULL OR face_persons.status IN ('pending', 'ignored'))
    ) AS theirs
$$;

-- The rows above the counters in the order of locks, for a purge: an account that Trombi made may be deleted in the end.
-- False where there is no such event (any more).
CREATE FUNCTION trombi_hold_for_erasure(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[] := trombi_persons_of(of_event, of_user, of_person, addresses);
    face_list uuid[] := ARRAY(
        SELECT face_id FROM media_tags JOIN media ON media.id = media_id
        WHERE media.event_id = of_event AND tagged_user_id = of_user AND face_id IS NOT NULL);
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        PERFORM 1 FROM users WHERE id = of_user AND made_by_invitation FOR UPDATE;
    END IF;
    PERFORM trombi_hold_rows(of_event, ARRAY[of_user], person_list, face_list);
    RETURN EXISTS (SELECT FROM events WHERE id = of_event);
END
$$;

-- The rows above the counters in the order of locks, for a purge of several accounts. False where there is no such
-- event (any more).
CREATE FUNCTION trombi_hold_for_erasure_of(of_event uuid, user_list uuid[], addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[] := trombi_persons_of(of_event, NULL, NULL, addresses) || ARRAY(
        SELECT unnest(trombi_persons_of(of_event, of_user, NULL, addresses)) FROM unnest(user_list) AS of_user);
    face_list uuid[] := ARRAY(
        SELECT face_id FROM media_tags JOIN media ON media.id = media_id
        WHERE media.event_id = of_event AND tagged_user_id = ANY(user_list) AND face_id IS NOT NULL);
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        PERFORM 1 FROM users WHERE id = ANY(user_list) AND made_by_invitation ORDER BY id FOR UPDATE;
    END IF;
    PERFORM trombi_hold_rows(of_event, NULL::uuid || user_list, person_list, face_list);
    RETURN EXISTS (SELECT FROM events WHERE id = of_event);
END
$$;

-- An account that was made for a guest by an invitation leaves the event, and goes if that was the last one.
CREATE FUNCTION trombi_forget_guest(of_event uuid, of_user uuid) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
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

-- Erase all that the event holds on a user; answers the receipt. Doing it twice gives an empty one.
CREATE FUNCTION purge_face_data_for_user(purged_user uuid, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    addresses text[];
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, purged_user);
    addresses := ARRAY(SELECT trombi_address(email) FROM users WHERE id = purged_user AND email <> '');
    IF NOT trombi_hold_for_erasure(of_event, purged_user, NULL, addresses) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    RETURN trombi_erase(of_event, purged_user, NULL, addresses);
END
$$;

-- The same for a person of an event, who may have no account. A person who is linked to one is that user.
CREATE FUNCTION purge_face_data_for_person(purged_person uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    survivor face_persons;
    addresses text[];
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
    addresses := ARRAY(
        SELECT address FROM (
            SELECT survivor.invitation_email AS address
            UNION
            SELECT trombi_address(email) FROM users WHERE id = survivor.linked_user_id
        ) AS known WHERE address <> ''
    );
    IF NOT trombi_hold_for_erasure(survivor.event_id, survivor.linked_user_id, survivor.id, addresses) THEN
        RETURN NULL;
    END IF;
    RETURN trombi_erase(survivor.event_id, survivor.linked_user_id, survivor.id, addresses);
END
$$;

-- The same for an address that somebody was invited by. Where it is an account's, that user is meant.
CREATE FUNCTION purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    address text := trombi_address(purged_address);
    accounts uuid[] := ARRAY(SELECT id FROM users WHERE trombi_address(email) = address ORDER BY id);
    account uuid;
    receipt jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    IF address = '' OR NOT trombi_hold_for_erasure_of(of_event, accounts, ARRAY[address]) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    receipt := trombi_erase(of_event, accounts[1], NULL, ARRAY[address]);
    FOREACH account IN ARRAY accounts[2:] LOOP
        receipt := trombi_join_receipts(receipt, trombi_erase(of_event, account, NULL, ARRAY[address]));
    END LOOP;
    RETURN receipt;
END
$$;

-- ---------------------------------------------------------------- an account is deleted

-- Merges, splits, moves, rejections and covers of a deleted account's person can still be undone: the undo puts the
-- faces back and links nobody.

-- Leave a user out of the decisions that can be undone without them: images of rows lose the link, rows of the user's own
-- (tags, membership, invitations) are no longer put back. Whose a person was before is kept as a hash, as on the person.
-- Answers how many decisions it changed.
CREATE FUNCTION trombi_leave_out_of_decisions(
    of_event uuid, of_user uuid, invitation_list uuid[], addresses text[]
) RETURNS integer LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE decisions AS decision SET
        user_ids = array_remove(user_ids, of_user),
        inverse = inverse || jsonb_build_object('changes', coalesce((
            SELECT jsonb_agg(
                CASE WHEN change ->> 'table' = 'face_persons' THEN change || jsonb_build_object(
                    'before', CASE WHEN change -> 'before' <> 'null' THEN
                        trombi_unlinked_image(decision, change -> 'before', of_user, addresses) || CASE
                            WHEN change #>> '{before,linked_user_id}' = of_user::text THEN jsonb_build_object(
                                'former_user_hash', trombi_user_hash((change ->> 'key')::uuid, of_user))
                            WHEN change #>> '{after,linked_user_id}' = of_user::text THEN '{"former_user_hash": null}'
                            ELSE '{}' END
                        END,
                    'after', trombi_unlinked_image(decision, change -> 'after', of_user, addresses))
                ELSE change END
                ORDER BY number)
            FROM jsonb_array_elements(inverse -> 'changes') WITH ORDINALITY AS listed (change, number)
            WHERE NOT coalesce(of_user::text IN (
                    coalesce(change #>> '{before,tagged_user_id}', change #>> '{after,tagged_user_id}'),
                    coalesce(change #>> '{before,user_id}', change #>> '{after,user_id}')), false)
                AND NOT (change ->> 'table' = 'invitations' AND change ->> 'key' = ANY(invitation_list::text[]))
        ), '[]'))
    WHERE event_id = of_event AND inverse IS NOT NULL
        AND kind NOT IN ('link', 'unlink', 'invite', 'accept', 'decline', 'undo')
        AND (of_user = ANY(user_ids) OR inverse::text ~ ('"(linked_|tagged_)?user_id": "' || of_user::text || '"'));
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- The image of a person without the link to a user, and without what the link counted as said of the person.
CREATE FUNCTION trombi_unlinked_image(decision decisions, image jsonb, of_user uuid, addresses text[])
    RETURNS jsonb LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT CASE
        WHEN image ->> 'linked_user_id' = of_user::text THEN
            image || '{"linked_user_id": null, "invitation_email": null, "status": "pending"}'
                || CASE WHEN image -> 'metadata' ? 'manual_edits' THEN jsonb_build_object('metadata',
                    image -> 'metadata' || jsonb_build_object('manual_edits', greatest(0,
                        (image #>> '{metadata,manual_edits}')::integer - (
                            SELECT count(*) FROM decisions AS earlier
                            WHERE earlier.event_id = decision.event_id AND earlier.version < decision.version
                                AND earlier.kind IN ('link', 'invite', 'accept') AND earlier.undone_by IS NULL
                                AND (image ->> 'id')::uuid = ANY(earlier.person_ids)
                        )))) ELSE '{}' END
        WHEN image ->> 'invitation_email' = ANY(addresses) THEN
            image || '{"invitation_email": null, "status": "pending"}'
        ELSE image
    END
$$;

-- What an event holds on a user whose account is going. Their persons are nobody's again, as before the link: undecided,
-- to be clustered again. Tags go, also those made by hand; so does the invitation that they answered with "it's me".
-- Decisions that said who the person is are erased, the others lose the user, so that no undo brings the user back. An invitation to their address that is open
-- or was declined is about the address, not the account, and stays.
CREATE FUNCTION trombi_forget_account(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    person_list uuid[];
    invitation_list uuid[];
    addresses text[];
    n integer;
    kept integer;
    counts jsonb;
BEGIN
    person_list := ARRAY(
        SELECT id FROM face_persons
        WHERE event_id = of_event AND linked_user_id = of_user AND status = 'linked' ORDER BY id FOR NO KEY UPDATE);
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL), '{}')
    INTO invitation_list, addresses
    FROM invitations WHERE face_person_id = ANY(person_list) AND answer = 'accepted';
    addresses := ARRAY(SELECT address FROM unnest(addresses) AS address WHERE NOT EXISTS (
        SELECT FROM face_persons WHERE event_id = of_event AND invitation_email = address));

    UPDATE face_persons SET status = 'pending', linked_user_id = NULL, version = version + 1, updated_at = now(),
        former_user_hash = trombi_user_hash(id, of_user),
        -- The link no longer counts as something that people said of the person.
        metadata = CASE WHEN metadata ? 'manual_edits' THEN metadata || jsonb_build_object('manual_edits', greatest(0,
            (metadata ->> 'manual_edits')::integer - (
                SELECT count(*) FROM decisions
                WHERE event_id = of_event AND kind IN ('link', 'invite', 'accept') AND undone_by IS NULL
                    AND face_persons.id = ANY(person_ids)
            ))) ELSE metadata END
    WHERE id = ANY(person_list);
    UPDATE face_persons SET linked_user_id = NULL WHERE event_id = of_event AND linked_user_id = of_user;

    DELETE FROM media_tags USING media
    WHERE media.id = media_tags.media_id AND media.event_id = of_event AND tagged_user_id = of_user;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := jsonb_build_object('tags', n);
    -- Faces are suggested for somebody; clustering asks anew.
    DELETE FROM face_suggestions WHERE face_person_id = ANY(person_list);
    GET DIAGNOSTICS n = ROW_COUNT;
    kept := trombi_leave_out_of_decisions(of_event, of_user, invitation_list, addresses);
    counts := counts || jsonb_build_object('suggestions', n, 'invitations', cardinality(invitation_list),
        'decisions', kept + trombi_forget_in_decisions(of_event, invitation_list, of_user, addresses));
    PERFORM trombi_forget_in_reads(of_event, invitation_list || of_user);
    DELETE FROM idempotency_keys
    WHERE event_id = of_event AND answer IS NOT NULL AND (
        trombi_holds_address(answer::text, addresses)
        OR EXISTS (SELECT FROM trombi_words(answer::text) AS word
            WHERE word IN (SELECT unnest(invitation_list || of_user)::text)));
    DELETE FROM invitations WHERE id = ANY(invitation_list);

    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    IF cardinality(person_list) > 0 THEN
        UPDATE event_counters SET changed_photos = changed_photos + 1,
            first_change_at = coalesce(first_change_at, clock_timestamp())
        WHERE event_id = of_event
            AND EXISTS (SELECT FROM events WHERE id = of_event AND face_recognition_enabled AND archived_at IS NULL);
    END IF;
    IF EXISTS (SELECT FROM jsonb_each_text(counts) WHERE value <> '0') THEN
        PERFORM trombi_give_receipt(of_event, 'account_deleted', counts, '{}');
    END IF;
END
$$;

-- After the rows of all accounts of the statement are locked, and before the foreign keys ("RI_...") set anything to
-- null; also where the host app's account goes by a cascade of its own.
CREATE FUNCTION trombi_forget_deleted_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    event_list uuid[] := ARRAY(
        SELECT event_id FROM face_persons WHERE linked_user_id = OLD.id
        UNION SELECT event_id FROM decisions WHERE user_ids @> ARRAY[OLD.id]
        UNION SELECT media.event_id FROM media_tags JOIN media ON media.id = media_id WHERE tagged_user_id = OLD.id
        UNION SELECT event_id FROM biometric_reads WHERE subject_id = OLD.id);
    of_event uuid;
BEGIN
    event_list := ARRAY(SELECT id FROM events WHERE id = ANY(event_list) ORDER BY id FOR KEY SHARE);
    PERFORM 1 FROM event_counters WHERE event_id = ANY(event_list) ORDER BY event_id FOR NO KEY UPDATE;
    FOREACH of_event IN ARRAY event_list LOOP
        PERFORM trombi_forget_account(of_event, OLD.id);
    END LOOP;
    DELETE FROM idempotency_keys WHERE caller = OLD.id::text AND answer IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER "Before_RI_trombi_forget_account" AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION trombi_forget_deleted_account();

-- ---------------------------------------------------------------- an event is archived, loses its consent, or is deleted

-- Everything biometric of the event goes when it is archived and when consent is withdrawn, whoever does it. Boxes,
-- persons and confirmed tags stay, as counts and as what people said. Open invitations are withdrawn.
CREATE FUNCTION cleanup_face_embeddings_on_event_archive() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
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

-- Questions that were asked by an embedding go with it: archive, consent, retention.
CREATE FUNCTION trombi_forget_split_suggestions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    DELETE FROM split_suggestions WHERE face_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_forget_split_suggestions AFTER UPDATE OF embedding ON faces
    FOR EACH ROW WHEN (OLD.embedding IS NOT NULL AND NEW.embedding IS NULL)
    EXECUTE FUNCTION trombi_forget_split_suggestions();

-- The consent log, complete also where the host app writes the event's row itself.
CREATE FUNCTION trombi_log_consent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
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

-- What foreign keys do not reach when an event is deleted.
CREATE FUNCTION trombi_erase_deleted_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
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
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
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
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET archived_at = now() WHERE id = of_event AND archived_at IS NULL;
    RETURN FOUND;
END
$$;

-- ---------------------------------------------------------------- photos and faces are deleted
-- Rows that name objects may vanish before the objects do, and without any function: the host app deletes a photo's row or
-- an event by SQL, and foreign keys take faces along. Triggers write down what is left to do.

-- A deleted photo takes its faces along, which whoever holds the counters may be writing. Named to come before the
-- triggers of the foreign keys ("RI_..."), after the rows of all photos of the statement are locked.
CREATE FUNCTION trombi_lock_counters_of_deleted_photo() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    PERFORM 1 FROM event_counters WHERE event_id = OLD.event_id FOR NO KEY UPDATE;
    RETURN NULL;
END
$$;
CREATE TRIGGER "Before_RI_trombi_lock_counters" AFTER DELETE ON media
    FOR EACH ROW EXECUTE FUNCTION trombi_lock_counters_of_deleted_photo();

CREATE FUNCTION trombi_note_deleted_photos() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    -- A deleted event has a receipt, which says as much of all its photos and deletes their thumbnails by one prefix.
    INSERT INTO deleted_photos (media_id, event_id, generation)
    SELECT id, event_id, greatest(
        coalesce(object_generation, 0), deleted_generation,
        (SELECT max(ml_jobs.object_generation) FROM ml_jobs
            WHERE job_type = 'detect' AND ml_jobs.event_id IS NOT NULL AND media_ids[1] = gone.id)
    )
    FROM gone WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id) ORDER BY id
    ON CONFLICT (media_id) DO UPDATE SET event_id = excluded.event_id, deleted_at = excluded.deleted_at,
        generation = greatest(deleted_photos.generation, excluded.generation), settled_at = NULL;
    -- By prefix: also what a detection that died left behind.
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', 'events/' || event_id || '/' || id || '/' FROM gone
    WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_note_deleted_photos AFTER DELETE ON media
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_note_deleted_photos();

-- At the end of the transaction, when whoever deleted the face has had the chance to see to the thumbnail: by its name,
-- or by the prefix of its photo or event.
CREATE FUNCTION trombi_erase_left_thumbnail() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', OLD.thumbnail_object
    WHERE NOT EXISTS (
        SELECT FROM outbox WHERE kind = 'delete_objects' AND due_at <= clock_timestamp() AND object_prefix IN (
            OLD.thumbnail_object,
            'events/' || OLD.event_id || '/' || OLD.media_id || '/',
            'events/' || OLD.event_id || '/'
        )
    );
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER trombi_erase_left_thumbnail AFTER DELETE ON faces
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.thumbnail_object <> '')
    EXECUTE FUNCTION trombi_erase_left_thumbnail();

-- ---------------------------------------------------------------- retention

-- Biometrics of one event that are older than they may be, up to ``most`` faces; how many there were.
CREATE FUNCTION erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    of_event uuid;
    face_list uuid[];
    prefixes text[];
BEGIN
    SELECT event_id INTO of_event FROM faces
    WHERE created_at < statement_timestamp() - age
        AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
    ORDER BY created_at LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(thumbnail_object) FILTER (
        WHERE thumbnail_object IS NOT NULL), '{}') INTO face_list, prefixes
    FROM (
        SELECT id, thumbnail_object FROM faces
        WHERE event_id = of_event AND created_at < statement_timestamp() - age
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
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
DECLARE
    of_event uuid;
    old uuid[];
    addresses text[];
BEGIN
    SELECT event_id INTO of_event FROM invitations
    WHERE (email IS NOT NULL OR message IS NOT NULL) AND coalesce(answered_at, expires_at) < statement_timestamp() - age
    ORDER BY coalesce(answered_at, expires_at) LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT array_agg(id), array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL) INTO old, addresses
    FROM (
        SELECT id, email FROM invitations
        WHERE event_id = of_event AND (email IS NOT NULL OR message IS NOT NULL)
            AND coalesce(answered_at, expires_at) < statement_timestamp() - age
        ORDER BY created_at LIMIT most
    ) AS found;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE invitations SET email = NULL, message = NULL WHERE id = ANY(old);
    -- An address that was written to again since stays with the newer invitation.
    addresses := ARRAY(
        SELECT address FROM unnest(addresses) AS address
        WHERE NOT EXISTS (SELECT FROM invitations WHERE event_id = of_event AND email = address)
    );
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = of_event AND invitation_email = ANY(addresses);
    PERFORM trombi_forget_in_decisions(of_event, '{}', NULL, addresses);
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    RETURN cardinality(old);
END
$$;

-- ---------------------------------------------------------------- audit and export

-- Count reads of biometrics. Sorted, so that two requests that read the same faces do not wait for each other.
CREATE FUNCTION trombi_note_reads(by_actor text, of_event uuid, of_what text, subjects uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
    INSERT INTO biometric_reads (actor, event_id, what, subject_id)
    SELECT DISTINCT by_actor, of_event, of_what, subject FROM unnest(subjects) AS subject
    -- Nobody reads as another.
    WHERE trombi_user_id() IS NULL OR by_actor = trombi_user_id()::text
    ORDER BY subject
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + 1
$$;

-- Whether the event has anything to do with the user.
CREATE FUNCTION trombi_concerns(of_user uuid, of_event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
    SELECT EXISTS (SELECT FROM event_members WHERE event_id = of_event AND user_id = of_user)
        OR EXISTS (SELECT FROM face_persons WHERE event_id = of_event AND linked_user_id = of_user)
        OR EXISTS (SELECT FROM media_tags JOIN media ON media.id = media_id
            WHERE media.event_id = of_event AND tagged_user_id = of_user)
        OR EXISTS (SELECT FROM invitations JOIN users ON trombi_address(users.email) = invitations.email
            WHERE invitations.event_id = of_event AND users.id = of_user)
$$;

-- As in 0009, but for the address's form.
CREATE FUNCTION trombi_export(of_user uuid, of_event uuid, embeddings boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
DECLARE
    is_own boolean := trombi_user_id() IS NULL OR trombi_user_id() = of_user;
    account users;
    address text;
    person_list uuid[];
    face_list uuid[];
    result jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, of_user);
    SELECT * INTO account FROM users WHERE id = of_user;
    address := trombi_address(account.email);
    IF account.id IS NULL OR NOT is_own AND NOT trombi_concerns(of_user, of_event) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO person_list FROM (
        SELECT unnest(trombi_persons_of(events.id, of_user, NULL, ARRAY[address])) AS id FROM events
        WHERE (of_event IS NULL OR events.id = of_event) AND (
            EXISTS (SELECT FROM face_persons WHERE event_id = events.id
                AND (linked_user_id = of_user OR invitation_email = address))
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
            FROM invitations WHERE (email = address OR face_person_id = ANY(person_list))
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

-- migrate:down
