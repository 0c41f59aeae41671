\restrict dbmate

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: vector; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;


--
-- Name: EXTENSION vector; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';


--
-- Name: cleanup_face_embeddings_on_event_archive(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cleanup_face_embeddings_on_event_archive() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: erase_addresses_older_than(interval, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.erase_addresses_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: erase_biometrics_older_than(interval, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: invitation_state(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.invitation_state(invitation uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
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


--
-- Name: is_normalised_box(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_normalised_box(box jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((jsonb_typeof((box -> 'x'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'y'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'w'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'h'::text)) = 'number'::text) AND (((box ->> 'x'::text))::double precision >= (0)::double precision) AND (((box ->> 'y'::text))::double precision >= (0)::double precision) AND (((box ->> 'w'::text))::double precision > (0)::double precision) AND (((box ->> 'h'::text))::double precision > (0)::double precision) AND ((((box ->> 'x'::text))::double precision + ((box ->> 'w'::text))::double precision) <= (1.000001)::double precision) AND ((((box ->> 'y'::text))::double precision + ((box ->> 'h'::text))::double precision) <= (1.000001)::double precision)), false);


--
-- Name: purge_face_data_for_address(text, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: purge_face_data_for_person(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_face_data_for_person(purged_person uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: purge_face_data_for_user(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_face_data_for_user(purged_user uuid, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_address(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    folded text := trombi_folded_address(address);
    parts text[] := regexp_match(folded, '^(.*)@([^@]*)$');
    domain text := regexp_replace(parts[2], '\.$', '');
BEGIN
    IF parts IS NULL THEN
        RETURN folded;
    END IF;
    IF position('xn--' IN domain) > 0 THEN
        domain := (SELECT string_agg(trombi_unicode_label(label), '.' ORDER BY number)
            FROM string_to_table(domain, '.') WITH ORDINALITY AS listed (label, number));
    END IF;
    RETURN parts[1] || '@' || domain;
END
$_$;


--
-- Name: trombi_announce_object(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_announce_object() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.object_generation := NULL;
    NEW.deleted_generation := 0;
    RETURN NEW;
END
$$;


--
-- Name: trombi_archive(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_archive(of_event uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    UPDATE events SET archived_at = now() WHERE id = of_event AND archived_at IS NULL;
    RETURN FOUND;
END
$$;


--
-- Name: trombi_best_cover(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_best_cover(of_person uuid) RETURNS uuid
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT face_id FROM trombi_best_faces(of_person) LIMIT 1
$$;


--
-- Name: trombi_best_faces(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_best_faces(of_person uuid) RETURNS TABLE(face_id uuid, thumbnail_object text)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT faces.id, faces.thumbnail_object
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id AND person.event_id = faces.event_id
    WHERE person.id = of_person
    ORDER BY faces.thumbnail_object IS NULL, (faces.id = person.representative_face_id) IS TRUE DESC,
        trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
$$;


--
-- Name: trombi_concerns(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_concerns(of_user uuid, of_event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM event_members WHERE event_id = of_event AND user_id = of_user)
        OR EXISTS (SELECT FROM face_persons WHERE event_id = of_event AND linked_user_id = of_user)
        OR EXISTS (SELECT FROM media_tags JOIN media ON media.id = media_id
            WHERE media.event_id = of_event AND tagged_user_id = of_user)
        OR EXISTS (SELECT FROM invitations JOIN users ON trombi_address(users.email) = invitations.email
            WHERE invitations.event_id = of_event AND users.id = of_user)
$$;


--
-- Name: trombi_cover_score(real, real, real, real, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_cover_score(quality real, sharpness real, yaw real, pitch real, size_px integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((((quality)::double precision * CASE WHEN (yaw IS NULL) THEN (0.5)::double precision WHEN (abs(yaw) < (90)::double precision) THEN cos(radians((yaw)::double precision)) ELSE (0)::double precision END) * CASE WHEN (pitch IS NULL) THEN (0.5)::double precision WHEN (abs(pitch) < (90)::double precision) THEN cos(radians((pitch)::double precision)) ELSE (0)::double precision END) * CASE WHEN (sharpness IS NULL) THEN (0.5)::double precision ELSE ((sharpness)::double precision / ((sharpness)::double precision + (100)::double precision)) END) * LEAST((1)::double precision, ((size_px)::double precision / (112.0)::double precision)));


--
-- Name: trombi_empty_receipt(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_empty_receipt(of_event uuid) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT jsonb_build_object('id', gen_random_uuid(), 'event_id', of_event, 'reason', 'purge',
        'erased', '{"faces": 0, "embeddings": 0, "persons": 0, "tags": 0, "invitations": 0, "thumbnails": 0,'
            ' "decisions": 0, "suggestions": 0, "accounts": 0}'::jsonb,
        'requested_at', clock_timestamp(), 'completed_at', clock_timestamp())
$$;


--
-- Name: trombi_erase(uuid, uuid, uuid, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_erase(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_erase_deleted_event(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_erase_deleted_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_erase_left_thumbnail(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_erase_left_thumbnail() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_event_of_decision(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_event_of_decision(decision_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT event_id FROM decisions WHERE id = decision_id $$;


--
-- Name: trombi_event_of_face(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_event_of_face(face_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT event_id FROM faces WHERE id = face_id $$;


--
-- Name: trombi_event_of_media(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_event_of_media(media_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT event_id FROM media WHERE id = media_id $$;


--
-- Name: trombi_event_of_person(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_event_of_person(person_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT event_id FROM face_persons WHERE id = person_id $$;


--
-- Name: trombi_export(uuid, uuid, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_export(of_user uuid, of_event uuid, embeddings boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_faces_of(uuid, uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_faces_of(of_event uuid, of_user uuid, person_list uuid[]) RETURNS uuid[]
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT coalesce(array_agg(id), '{}') FROM (
        SELECT id FROM faces WHERE event_id = of_event AND face_person_id = ANY(person_list)
        UNION
        SELECT faces.id FROM media_tags JOIN faces ON faces.id = media_tags.face_id
            LEFT JOIN face_persons ON face_persons.id = faces.face_person_id
        WHERE faces.event_id = of_event AND media_tags.tagged_user_id = of_user
            AND (face_persons.id IS NULL OR face_persons.status IN ('pending', 'ignored'))
    ) AS theirs
$$;


--
-- Name: trombi_fellow_users(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_fellow_users() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
        SELECT user_id FROM event_members WHERE event_id = ANY (trombi_organised_events())
        UNION SELECT linked_user_id FROM face_persons
            WHERE event_id = ANY (trombi_organised_events()) AND linked_user_id IS NOT NULL
        UNION SELECT tagged_user_id FROM media_tags JOIN media ON media.id = media_tags.media_id
            WHERE media.event_id = ANY (trombi_organised_events())
        UNION SELECT actor_id FROM decisions
            WHERE event_id = ANY (trombi_organised_events()) AND actor_id IS NOT NULL
        UNION SELECT trombi_user_id()
    $$;


--
-- Name: trombi_folded(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_folded(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim(regexp_replace(replace(replace(replace(translate(lower(regexp_replace(NORMALIZE(words, NFKD), '[\u0300-\u036f]'::text, ''::text, 'g'::text)), 'øłđð'::text, 'oldd'::text), 'ß'::text, 'ss'::text), 'æ'::text, 'ae'::text), 'œ'::text, 'oe'::text), '[[:space:]''’.,_-]+'::text, ' '::text, 'g'::text));


--
-- Name: trombi_folded_address(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_folded_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    folded text := address;
    blank CONSTANT text := E' \t\n\u000b\f\r\u0085\u1680\u2028\u2029';
BEGIN
    IF folded !~ '[^\x01-\x7f]' THEN
        RETURN btrim(lower(folded COLLATE "C"), blank);
    END IF;
    folded := regexp_replace(normalize(folded, NFKC),
        '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164'
        '\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]'
        '|(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])', '', 'g');
    folded := lower(replace(replace(folded, E'\u3002', '.'), E'\u0130', E'i\u0307') COLLATE "C");
    folded := translate(folded,
        'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĴĶĹĻĽŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ'
        'ƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾ'
        'ɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙ'
        'КЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮ'
        'ӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳ'
        'ႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅჇჍᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑᏒᏓᏔᏕᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥ'
        'ᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯᏰᏱᏲᏳᏴᏵᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶ'
        'ḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲ'
        'ỴỶỸỺỼỾἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾈᾉᾊᾋᾌᾍᾎᾏᾘᾙᾚᾛᾜᾝᾞᾟᾨᾩᾪᾫᾬᾭᾮᾯᾸᾹᾺᾼῈῊῌῘῙῚῨῩ'
        'ῪῬῸῺῼℲↃⰀⰁⰂⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠⰡⰢⰣⰤⰥⰦⰧⰨⰩⰪⰫⰬⰭⰮⰯⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿⲀⲂⲄⲆⲈⲊⲌⲎⲐⲒⲔⲖⲘⲚⲜⲞⲠⲢⲤⲦ'
        'ⲨⲪⲬⲮⲰⲲⲴⲶⲸⲺⲼⲾⳀⳂⳄⳆⳈⳊⳌⳎⳐⳒⳔⳖⳘⳚⳜⳞⳠⳢⳫⳭⳲꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊ'
        'ꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵ𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇𐐈𐐉𐐊𐐋𐐌𐐍𐐎𐐏𐐐𐐑𐐒𐐓𐐔𐐕𐐖𐐗'
        '𐐘𐐙𐐚𐐛𐐜𐐝𐐞𐐟𐐠𐐡𐐢𐐣𐐤𐐥𐐦𐐧𐒰𐒱𐒲𐒳𐒴𐒵𐒶𐒷𐒸𐒹𐒺𐒻𐒼𐒽𐒾𐒿𐓀𐓁𐓂𐓃𐓄𐓅𐓆𐓇𐓈𐓉𐓊𐓋𐓌𐓍𐓎𐓏𐓐𐓑𐓒𐓓𐕰𐕱𐕲𐕳𐕴𐕵𐕶𐕷𐕸𐕹𐕺𐕼𐕽𐕾𐕿𐖀𐖁𐖂𐖃𐖄𐖅𐖆𐖇𐖈𐖉𐖊𐖌𐖍𐖎𐖏𐖐𐖑𐖒𐖔𐖕𐲀𐲁𐲂'
        '𐲃𐲄𐲅𐲆𐲇𐲈𐲉𐲊𐲋𐲌𐲍𐲎𐲏𐲐𐲑𐲒𐲓𐲔𐲕𐲖𐲗𐲘𐲙𐲚𐲛𐲜𐲝𐲞𐲟𐲠𐲡𐲢𐲣𐲤𐲥𐲦𐲧𐲨𐲩𐲪𐲫𐲬𐲭𐲮𐲯𐲰𐲱𐲲𑢠𑢡𑢢𑢣𑢤𑢥𑢦𑢧𑢨𑢩𑢪𑢫𑢬𑢭𑢮𑢯𑢰𑢱𑢲𑢳𑢴𑢵𑢶𑢷𑢸𑢹𑢺𑢻𑢼𑢽𑢾𑢿𖹀𖹁𖹂𖹃𖹄𖹅𖹆𖹇𖹈𖹉'
        '𖹊𖹋𖹌𖹍𖹎𖹏𖹐𖹑𖹒𖹓𖹔𖹕𖹖𖹗𖹘𖹙𖹚𖹛𖹜𖹝𖹞𖹟𞤀𞤁𞤂𞤃𞤄𞤅𞤆𞤇𞤈𞤉𞤊𞤋𞤌𞤍𞤎𞤏𞤐𞤑𞤒𞤓𞤔𞤕𞤖𞤗𞤘𞤙𞤚𞤛𞤜𞤝𞤞𞤟𞤠𞤡',
        'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżž'
        'ɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦ'
        'ɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзий'
        'клмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯ'
        'ӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓ'
        'ⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥⴧⴭꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡꮢꮣꮤꮥꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵ'
        'ꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿᏸᏹᏺᏻᏼᏽაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷ'
        'ḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳ'
        'ỵỷỹỻỽỿἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾰᾱὰᾳὲὴῃῐῑὶῠῡ'
        'ὺῥὸὼῳⅎↄⰰⰱⰲⰳⰴⰵⰶⰷⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱉⱊⱋⱌⱍⱎⱏⱐⱑⱒⱓⱔⱕⱖⱗⱘⱙⱚⱛⱜⱝⱞⱟⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀⲁⲃⲅⲇⲉⲋⲍⲏⲑⲓⲕⲗⲙⲛⲝⲟⲡⲣⲥⲧ'
        'ⲩⲫⲭⲯⲱⲳⲵⲷⲹⲻⲽⲿⳁⳃⳅⳇⳉⳋⳍⳏⳑⳓⳕⳗⳙⳛⳝⳟⳡⳣⳬⳮⳳꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋ'
        'ꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶ𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷𐐸𐐹𐐺𐐻𐐼𐐽𐐾𐐿'
        '𐑀𐑁𐑂𐑃𐑄𐑅𐑆𐑇𐑈𐑉𐑊𐑋𐑌𐑍𐑎𐑏𐓘𐓙𐓚𐓛𐓜𐓝𐓞𐓟𐓠𐓡𐓢𐓣𐓤𐓥𐓦𐓧𐓨𐓩𐓪𐓫𐓬𐓭𐓮𐓯𐓰𐓱𐓲𐓳𐓴𐓵𐓶𐓷𐓸𐓹𐓺𐓻𐖗𐖘𐖙𐖚𐖛𐖜𐖝𐖞𐖟𐖠𐖡𐖣𐖤𐖥𐖦𐖧𐖨𐖩𐖪𐖫𐖬𐖭𐖮𐖯𐖰𐖱𐖳𐖴𐖵𐖶𐖷𐖸𐖹𐖻𐖼𐳀𐳁𐳂'
        '𐳃𐳄𐳅𐳆𐳇𐳈𐳉𐳊𐳋𐳌𐳍𐳎𐳏𐳐𐳑𐳒𐳓𐳔𐳕𐳖𐳗𐳘𐳙𐳚𐳛𐳜𐳝𐳞𐳟𐳠𐳡𐳢𐳣𐳤𐳥𐳦𐳧𐳨𐳩𐳪𐳫𐳬𐳭𐳮𐳯𐳰𐳱𐳲𑣀𑣁𑣂𑣃𑣄𑣅𑣆𑣇𑣈𑣉𑣊𑣋𑣌𑣍𑣎𑣏𑣐𑣑𑣒𑣓𑣔𑣕𑣖𑣗𑣘𑣙𑣚𑣛𑣜𑣝𑣞𑣟𖹠𖹡𖹢𖹣𖹤𖹥𖹦𖹧𖹨𖹩'
        '𖹪𖹫𖹬𖹭𖹮𖹯𖹰𖹱𖹲𖹳𖹴𖹵𖹶𖹷𖹸𖹹𖹺𖹻𖹼𖹽𖹾𖹿𞤢𞤣𞤤𞤥𞤦𞤧𞤨𞤩𞤪𞤫𞤬𞤭𞤮𞤯𞤰𞤱𞤲𞤳𞤴𞤵𞤶𞤷𞤸𞤹𞤺𞤻𞤼𞤽𞤾𞤿𞥀𞥁𞥂𞥃');
    RETURN btrim(normalize(folded, NFKC), blank);
END
$$;


--
-- Name: trombi_forget_account(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_account(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    person_list uuid[];
    invitation_list uuid[];
    addresses text[];
    n integer;
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
    counts := counts || jsonb_build_object('suggestions', n, 'invitations', cardinality(invitation_list),
        'decisions', trombi_forget_in_decisions(of_event, invitation_list, of_user, addresses));
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


--
-- Name: trombi_forget_deleted_account(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_deleted_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_forget_guest(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_guest(of_event uuid, of_user uuid) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_forget_in_decisions(uuid, uuid[], uuid, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_in_decisions(of_event uuid, ids uuid[], of_user uuid, addresses text[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_forget_in_reads(uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_in_reads(of_event uuid, ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_forget_split_suggestions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_forget_split_suggestions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM split_suggestions WHERE face_id = NEW.id;
    RETURN NULL;
END
$$;


--
-- Name: trombi_give_receipt(uuid, text, jsonb, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_give_receipt(of_event uuid, why text, counts jsonb, prefixes text[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_has_words(text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_has_words(name text, asked text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (NOT (EXISTS (SELECT FROM regexp_split_to_table(public.trombi_folded(trombi_has_words.asked), ' '::text) word(word) WHERE (POSITION(((' '::text || word.word)) IN ((' '::text || COALESCE(public.trombi_folded(trombi_has_words.name), ''::text)))) = 0))));


--
-- Name: trombi_hold_for_erasure(uuid, uuid, uuid, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_hold_for_erasure(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_hold_for_erasure_of(uuid, uuid[], text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_hold_for_erasure_of(of_event uuid, user_list uuid[], addresses text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_hold_rows(uuid, uuid[], uuid[], uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_hold_rows(of_event uuid, user_list uuid[], person_list uuid[], face_list uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_holds_address(text, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_holds_address(content text, addresses text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT cardinality(addresses) > 0 AND EXISTS (
        SELECT FROM regexp_matches(content, '[^[:space:]"\\<>(),;:]+[@＠﹫][^[:space:]"\\<>(),;:]+', 'g') AS found
        WHERE trombi_address(found[1]) = ANY(addresses)
    )
$$;


--
-- Name: trombi_is_member(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_is_member(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT EXISTS (
        SELECT FROM event_members WHERE event_id = event AND user_id = trombi_user_id()
    ) $$;


--
-- Name: trombi_is_organiser(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_is_organiser(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT EXISTS (
        SELECT FROM event_members
        WHERE event_id = event AND user_id = trombi_user_id() AND role IN ('owner', 'organizer')
    ) $$;


--
-- Name: trombi_join_receipts(jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_join_receipts(kept jsonb, joined jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_lock_counters_of_deleted_photo(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_lock_counters_of_deleted_photo() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM 1 FROM event_counters WHERE event_id = OLD.event_id FOR NO KEY UPDATE;
    RETURN NULL;
END
$$;


--
-- Name: trombi_log_consent(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_log_consent() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO event_consents (event_id, enabled, text_version, actor_id)
    VALUES (NEW.id, NEW.face_recognition_enabled, NEW.consent_text_version, trombi_user_id());
    RETURN NULL;
END
$$;


--
-- Name: trombi_member_events(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_member_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members WHERE user_id = trombi_user_id() $$;


--
-- Name: trombi_name_picture_of_tombstone(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_name_picture_of_tombstone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NEW.crc32c IS NULL THEN
        SELECT faces_crc32c, faces_picture_hash INTO NEW.crc32c, NEW.picture_hash FROM media WHERE id = NEW.media_id;
    END IF;
    RETURN NEW;
END
$$;


--
-- Name: trombi_normalise_address(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_normalise_address() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.email := trombi_address(NEW.email);
    RETURN NEW;
END
$$;


--
-- Name: trombi_normalise_person(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_normalise_person() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.invitation_email := trombi_address(NEW.invitation_email);
    IF NEW.status = 'linked' THEN
        NEW.former_user_hash := NULL;
    END IF;
    RETURN NEW;
END
$$;


--
-- Name: trombi_note_deleted_photos(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_note_deleted_photos() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_note_reads(text, uuid, text, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_note_reads(by_actor text, of_event uuid, of_what text, subjects uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    INSERT INTO biometric_reads (actor, event_id, what, subject_id)
    SELECT DISTINCT by_actor, of_event, of_what, subject FROM unnest(subjects) AS subject
    -- Nobody reads as another.
    WHERE trombi_user_id() IS NULL OR by_actor = trombi_user_id()::text
    ORDER BY subject
    ON CONFLICT (event_id, day, actor, what, subject_id) DO UPDATE SET reads = biometric_reads.reads + 1
$$;


--
-- Name: trombi_organised_events(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_organised_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members
        WHERE user_id = trombi_user_id() AND role IN ('owner', 'organizer') $$;


--
-- Name: trombi_own_persons(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_own_persons() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT coalesce(array_agg(id), '{}') FROM face_persons
        WHERE linked_user_id = trombi_user_id() AND status = 'linked' AND event_id = ANY (trombi_member_events()) $$;


--
-- Name: trombi_own_photos(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_own_photos() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT coalesce(array_agg(media.id), '{}') FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = trombi_user_id() AND media.event_id = ANY (trombi_member_events()) $$;


--
-- Name: trombi_require_self_or_organiser(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_require_self_or_organiser(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: face_persons; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.face_persons (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    cluster_label integer,
    representative_face_id uuid,
    linked_user_id uuid,
    status text DEFAULT 'pending'::text NOT NULL,
    invitation_email text,
    merged_into_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    cover_chosen_by_human boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    former_user_hash bytea,
    said_to_be_one boolean DEFAULT false NOT NULL,
    CONSTRAINT face_persons_merged_names_its_survivor CHECK ((((status = 'merged'::text) = (merged_into_id IS NOT NULL)) AND (merged_into_id <> id))),
    CONSTRAINT face_persons_only_invited_has_an_address CHECK (((invitation_email IS NULL) OR (status = 'invited'::text))),
    CONSTRAINT face_persons_only_linked_has_a_user CHECK (((linked_user_id IS NULL) OR (status = ANY (ARRAY['linked'::text, 'merged'::text])))),
    CONSTRAINT face_persons_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'linked'::text, 'invited'::text, 'ignored'::text, 'merged'::text])))
);


--
-- Name: faces; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.faces (
    id uuid NOT NULL,
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    object_generation bigint NOT NULL,
    face_person_id uuid,
    placed_by_human boolean DEFAULT false NOT NULL,
    bbox jsonb NOT NULL,
    embedding public.vector(512),
    embedding_model text NOT NULL,
    quality_score real NOT NULL,
    landmarks jsonb,
    sharpness real,
    yaw real,
    pitch real,
    roll real,
    size_px integer NOT NULL,
    thumbnail_object text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT faces_bbox_check CHECK (public.is_normalised_box(bbox)),
    CONSTRAINT faces_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision))),
    CONSTRAINT faces_size_px_check CHECK ((size_px > 0))
)
WITH (fillfactor='45');


--
-- Name: trombi_persons_alike(uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_persons_alike(of_person uuid, face_list uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    BEGIN ATOMIC
 SELECT public.trombi_require_self_or_organiser(( SELECT face_persons.event_id
            FROM public.face_persons
           WHERE (face_persons.id = trombi_persons_alike.of_person)), NULL::uuid) AS trombi_require_self_or_organiser;
 WITH asked AS MATERIALIZED (
          SELECT faces.id,
             faces.embedding
            FROM public.faces
           WHERE ((faces.face_person_id = trombi_persons_alike.of_person) AND (faces.embedding IS NOT NULL) AND ((trombi_persons_alike.face_list IS NULL) OR (faces.id = ANY (trombi_persons_alike.face_list))))
           ORDER BY faces.quality_score DESC, faces.id
          LIMIT 3
         ), placed AS (
          SELECT faces.face_person_id,
             faces.embedding,
             row_number() OVER (PARTITION BY faces.face_person_id ORDER BY faces.quality_score DESC, faces.id) AS place
            FROM public.faces
           WHERE ((faces.event_id = ( SELECT face_persons.event_id
                    FROM public.face_persons
                   WHERE (face_persons.id = trombi_persons_alike.of_person))) AND (faces.face_person_id IS NOT NULL) AND (faces.face_person_id <> trombi_persons_alike.of_person) AND (faces.embedding IS NOT NULL))
         ), nearest AS (
          SELECT placed.face_person_id,
             min((asked.embedding OPERATOR(public.<=>) placed.embedding)) AS distance
            FROM (placed
              CROSS JOIN asked)
           WHERE (placed.place <= 10)
           GROUP BY placed.face_person_id, asked.id
         )
  SELECT nearest.face_person_id
    FROM nearest
   GROUP BY nearest.face_person_id
   ORDER BY (avg(nearest.distance)), nearest.face_person_id;
END;


--
-- Name: trombi_persons_of(uuid, uuid, uuid, text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_persons_of(of_event uuid, of_user uuid, of_person uuid, addresses text[]) RETURNS uuid[]
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_replace_covers(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_replace_covers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_set_consent(uuid, boolean, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_set_consent(of_event uuid, enabled boolean, text_version text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_strip_faces(uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_strip_faces(of_event uuid, face_list uuid[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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


--
-- Name: trombi_unicode_label(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_unicode_label(label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    basic text := coalesce(substring(substr(label, 5) FROM '^(.*)-[^-]*$'), '');
    coded text := substring(substr(label, 5) FROM '[^-]*$');
    points bigint[] := '{}';
    point bigint := 128;
    place bigint := 0;
    bias bigint := 72;
    before bigint;
    weight bigint;
    base bigint;
    threshold bigint;
    digit bigint;
    at integer := 1;
    decoded text;
BEGIN
    IF label !~ '^xn--[a-z0-9-]+$' THEN
        RETURN label;
    END IF;
    IF basic <> '' THEN
        points := ARRAY(SELECT ascii(letter) FROM string_to_table(basic, NULL) AS letter);
    END IF;
    WHILE at <= length(coded) LOOP
        before := place;
        weight := 1;
        base := 36;
        LOOP
            IF at > length(coded) THEN
                RETURN label;
            END IF;
            digit := position(substr(coded, at, 1) IN 'abcdefghijklmnopqrstuvwxyz0123456789') - 1;
            at := at + 1;
            place := place + digit * weight;
            IF place > 1000000000000 THEN
                RETURN label;
            END IF;
            threshold := least(greatest(base - bias, 1), 26);
            EXIT WHEN digit < threshold;
            weight := weight * (36 - threshold);
            base := base + 36;
        END LOOP;
        -- Adapt the bias to how far it was.
        digit := (place - before) / CASE WHEN before = 0 AND cardinality(points) = length(basic) THEN 700 ELSE 2 END;
        digit := digit + digit / (cardinality(points) + 1);
        bias := 0;
        WHILE digit > 455 LOOP
            digit := digit / 35;
            bias := bias + 36;
        END LOOP;
        bias := bias + 36 * digit / (digit + 38);
        point := point + place / (cardinality(points) + 1);
        place := place % (cardinality(points) + 1);
        IF point > 1114111 OR point BETWEEN 55296 AND 57343 THEN
            RETURN label;
        END IF;
        points := points[1:place] || point || points[place + 1:];
        place := place + 1;
    END LOOP;
    SELECT string_agg(chr(value::integer), '' ORDER BY number) INTO decoded
    FROM unnest(points) WITH ORDINALITY AS listed (value, number);
    RETURN CASE WHEN decoded ~ '[^\x01-\x7f]' AND trombi_folded_address(decoded) = decoded THEN decoded ELSE label END;
END
$_$;


--
-- Name: trombi_user_hash(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_user_hash(person_id uuid, user_id uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256((uuid_send(person_id) || uuid_send(user_id)));


--
-- Name: trombi_user_id(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_user_id() RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (((NULLIF(current_setting('request.jwt.claims'::text, true), ''::text))::jsonb ->> 'sub'::text))::uuid;


--
-- Name: trombi_was_deleted(uuid, uuid, bigint, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_was_deleted(of_media uuid, of_event uuid, upload_generation bigint, uploaded_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (
        SELECT FROM deleted_photos
        WHERE media_id = of_media AND (generation >= upload_generation OR deleted_at >= uploaded_at)
    ) OR EXISTS (
        SELECT FROM purge_receipts
        WHERE event_id = of_event AND reason = 'event_deleted' AND requested_at >= uploaded_at
    )
$$;


--
-- Name: trombi_words(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_words(content text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT string_to_table(translate(lower(content), ' /.,', '""""'), '"') $$;


--
-- Name: auth_failures; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_failures (
    day date DEFAULT CURRENT_DATE NOT NULL,
    reason text NOT NULL,
    failures bigint DEFAULT 1 NOT NULL,
    CONSTRAINT auth_failures_failures_check CHECK ((failures > 0))
);


--
-- Name: biometric_reads; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.biometric_reads (
    day date DEFAULT CURRENT_DATE NOT NULL,
    actor text NOT NULL,
    event_id uuid NOT NULL,
    what text NOT NULL,
    subject_id uuid NOT NULL,
    reads bigint DEFAULT 1 NOT NULL,
    CONSTRAINT biometric_reads_reads_check CHECK ((reads > 0))
);


--
-- Name: cluster_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cluster_runs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_id uuid NOT NULL,
    run integer NOT NULL,
    event_id uuid NOT NULL,
    faces integer NOT NULL,
    clusters integer NOT NULL,
    persons integer NOT NULL,
    noise integer NOT NULL,
    noise_ratio real GENERATED ALWAYS AS (
CASE
    WHEN (faces = 0) THEN (0)::double precision
    ELSE ((noise)::real / (faces)::double precision)
END) STORED,
    silhouette real,
    churn integer NOT NULL,
    suggestions integer NOT NULL,
    milliseconds jsonb NOT NULL,
    parameters jsonb NOT NULL,
    embedding_model text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    told_at timestamp with time zone,
    CONSTRAINT cluster_runs_check CHECK (((noise >= 0) AND (noise <= faces))),
    CONSTRAINT cluster_runs_churn_check CHECK ((churn >= 0)),
    CONSTRAINT cluster_runs_clusters_check CHECK ((clusters >= 0)),
    CONSTRAINT cluster_runs_faces_check CHECK ((faces >= 0)),
    CONSTRAINT cluster_runs_persons_check CHECK ((persons >= 0)),
    CONSTRAINT cluster_runs_silhouette_check CHECK (((silhouette >= ('-1'::integer)::double precision) AND (silhouette <= (1)::double precision))),
    CONSTRAINT cluster_runs_suggestions_check CHECK ((suggestions >= 0))
);


--
-- Name: dead_letters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.dead_letters (
    id bigint NOT NULL,
    topic text NOT NULL,
    message_id text NOT NULL,
    data bytea NOT NULL,
    attributes jsonb NOT NULL,
    delivery_attempts integer,
    error text NOT NULL,
    job_id uuid,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    replayed_at timestamp with time zone
);


--
-- Name: dead_letters_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: decisions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.decisions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    actor_id uuid,
    kind text NOT NULL,
    subject jsonb NOT NULL,
    inverse jsonb,
    undone_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint,
    person_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    face_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    user_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    CONSTRAINT decisions_kind_check CHECK ((kind = ANY (ARRAY['link'::text, 'unlink'::text, 'invite'::text, 'accept'::text, 'decline'::text, 'merge'::text, 'split'::text, 'move'::text, 'reject'::text, 'distinct'::text, 'one_person'::text, 'ignore'::text, 'restore'::text, 'cover'::text, 'undo'::text])))
);


--
-- Name: deleted_photos; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.deleted_photos (
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    generation bigint NOT NULL,
    deleted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    settled_at timestamp with time zone
);


--
-- Name: event_consents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event_consents (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    enabled boolean NOT NULL,
    text_version text,
    actor_id uuid,
    at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: event_counters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event_counters (
    event_id uuid NOT NULL,
    embedding_model text,
    changed_photos integer DEFAULT 0 NOT NULL,
    first_change_at timestamp with time zone,
    last_requested_at timestamp with time zone,
    decision_version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT event_counters_change_has_a_time CHECK (((changed_photos > 0) = (first_change_at IS NOT NULL))),
    CONSTRAINT event_counters_changed_photos_check CHECK ((changed_photos >= 0))
);


--
-- Name: event_members; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event_members (
    event_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text DEFAULT 'member'::text NOT NULL,
    CONSTRAINT event_members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'organizer'::text, 'member'::text])))
);


--
-- Name: TABLE event_members; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.event_members IS 'made by Trombi';


--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    creator_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    language text DEFAULT 'fr'::text NOT NULL,
    face_recognition_enabled boolean DEFAULT false NOT NULL,
    consent_text_version text,
    consented_at timestamp with time zone,
    archived_at timestamp with time zone,
    CONSTRAINT events_language_check CHECK ((language = ANY (ARRAY['fr'::text, 'en'::text])))
);


--
-- Name: TABLE events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.events IS 'made by Trombi';


--
-- Name: face_rejections; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.face_rejections (
    face_id uuid NOT NULL,
    face_person_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: face_suggestions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.face_suggestions (
    face_id uuid NOT NULL,
    face_person_id uuid NOT NULL,
    score real NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT face_suggestions_score_check CHECK (((score >= ('-1'::integer)::double precision) AND (score <= (1)::double precision)))
);


--
-- Name: face_tombstones; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.face_tombstones (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    bbox jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    crc32c text,
    picture_hash bytea,
    CONSTRAINT face_tombstones_bbox_check CHECK (public.is_normalised_box(bbox)),
    CONSTRAINT face_tombstones_picture_hash_check CHECK ((octet_length(picture_hash) = 32))
);


--
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    event_id uuid,
    status integer,
    answer jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200)))
);


--
-- Name: invitations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.invitations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    face_person_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    email text,
    invited_by uuid,
    expires_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone,
    answer text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    language text DEFAULT 'fr'::text NOT NULL,
    message text,
    sent_at timestamp with time zone,
    mail_problem text,
    CONSTRAINT invitations_answer_check CHECK ((answer = ANY (ARRAY['accepted'::text, 'declined'::text]))),
    CONSTRAINT invitations_check CHECK (((answered_at IS NULL) = (answer IS NULL))),
    CONSTRAINT invitations_check1 CHECK ((expires_at > created_at)),
    CONSTRAINT invitations_language_check CHECK ((language = ANY (ARRAY['fr'::text, 'en'::text]))),
    CONSTRAINT invitations_mail_problem_check CHECK ((mail_problem = ANY (ARRAY['refused'::text, 'not_configured'::text, 'given_up'::text]))),
    CONSTRAINT invitations_token_hash_check CHECK ((octet_length(token_hash) = 32))
);


--
-- Name: media; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.media (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    bucket text,
    object_name text,
    object_generation bigint,
    deleted_generation bigint DEFAULT 0 NOT NULL,
    faces_crc32c text,
    faces_picture_hash bytea
);


--
-- Name: TABLE media; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.media IS 'made by Trombi';


--
-- Name: media_tags; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.media_tags (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    media_id uuid NOT NULL,
    tagged_user_id uuid NOT NULL,
    tagged_by_user_id uuid,
    source text NOT NULL,
    bbox jsonb,
    face_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT media_tags_bbox_check CHECK (((bbox IS NULL) OR public.is_normalised_box(bbox))),
    CONSTRAINT media_tags_source_check CHECK ((source = ANY (ARRAY['manual'::text, 'face_clustering'::text, 'imported'::text, 'suggested'::text])))
);


--
-- Name: merge_suggestions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.merge_suggestions (
    person_a_id uuid NOT NULL,
    person_b_id uuid NOT NULL,
    score real NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT merge_suggestions_check CHECK ((person_a_id < person_b_id)),
    CONSTRAINT merge_suggestions_score_check CHECK (((score >= ('-1'::integer)::double precision) AND (score <= (1)::double precision)))
);


--
-- Name: metric_auth_failures; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_auth_failures AS
 SELECT day,
    reason,
    failures
   FROM public.auth_failures;


--
-- Name: ml_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ml_jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_type text NOT NULL,
    event_id uuid,
    media_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    object_generation bigint DEFAULT 0 NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    priority text DEFAULT 'normal'::text NOT NULL,
    run integer DEFAULT 1 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    error_code text,
    error text,
    result jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    released_at timestamp with time zone,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    reported_at timestamp with time zone,
    CONSTRAINT ml_jobs_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT ml_jobs_detect_has_one_photo CHECK (((job_type <> 'detect'::text) OR (event_id IS NULL) OR (cardinality(media_ids) = 1))),
    CONSTRAINT ml_jobs_end_has_a_time CHECK (((status = ANY (ARRAY['completed'::text, 'failed'::text])) = (completed_at IS NOT NULL))),
    CONSTRAINT ml_jobs_failure_has_a_reason CHECK (((status <> 'failed'::text) OR ((error_code IS NOT NULL) AND (error IS NOT NULL)))),
    CONSTRAINT ml_jobs_job_type_check CHECK ((job_type = ANY (ARRAY['detect'::text, 'cluster'::text]))),
    CONSTRAINT ml_jobs_priority_check CHECK ((priority = ANY (ARRAY['high'::text, 'normal'::text, 'low'::text]))),
    CONSTRAINT ml_jobs_run_check CHECK ((run >= 1)),
    CONSTRAINT ml_jobs_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'completed'::text, 'failed'::text])))
);


--
-- Name: metric_callback_latency; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_callback_latency AS
 SELECT job_type,
    count(*) AS jobs,
    (avg(EXTRACT(epoch FROM (reported_at - completed_at))) * (1000)::numeric) AS mean_ms,
    (percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY ((EXTRACT(epoch FROM (reported_at - completed_at)))::double precision)) * (1000)::double precision) AS p95_ms
   FROM public.ml_jobs
  WHERE ((reported_at IS NOT NULL) AND (completed_at > (now() - '24:00:00'::interval)))
  GROUP BY job_type;


--
-- Name: metric_dead_letters; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_dead_letters AS
 SELECT topic,
    count(*) FILTER (WHERE (replayed_at IS NULL)) AS waiting,
    count(*) AS received,
    max(received_at) AS last_at
   FROM public.dead_letters
  GROUP BY topic;


--
-- Name: metric_detection_milliseconds; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_detection_milliseconds AS
 SELECT stage.key AS stage,
    count(*) AS photos,
    avg((stage.value)::double precision) AS mean_ms,
    percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY (stage.value)::double precision) AS p95_ms
   FROM public.ml_jobs,
    LATERAL jsonb_each_text((ml_jobs.result -> 'milliseconds'::text)) stage(key, value)
  WHERE ((ml_jobs.job_type = 'detect'::text) AND (ml_jobs.status = 'completed'::text) AND (ml_jobs.completed_at > (now() - '24:00:00'::interval)))
  GROUP BY stage.key;


--
-- Name: metric_event_coverage; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_event_coverage AS
 SELECT events.id AS event_id,
    count(media.id) AS photos,
    count(job.id) AS processed,
        CASE
            WHEN (count(media.id) = 0) THEN (1)::double precision
            ELSE ((count(job.id))::double precision / (count(media.id))::double precision)
        END AS coverage
   FROM ((public.events
     LEFT JOIN public.media ON (((media.event_id = events.id) AND (media.deleted_generation < COALESCE(media.object_generation, (1)::bigint)))))
     LEFT JOIN public.ml_jobs job ON (((job.job_type = 'detect'::text) AND (job.event_id IS NOT NULL) AND (job.status = 'completed'::text) AND (job.media_ids[1] = media.id) AND (job.object_generation = COALESCE(media.object_generation, (0)::bigint)))))
  GROUP BY events.id;


--
-- Name: metric_faces_per_photo; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_faces_per_photo AS
 SELECT event_id,
    count(*) AS photos,
    avg(((result ->> 'faces'::text))::double precision) AS mean_faces,
    max(((result ->> 'faces'::text))::integer) AS most_faces
   FROM public.ml_jobs
  WHERE ((job_type = 'detect'::text) AND (status = 'completed'::text) AND (result ? 'faces'::text))
  GROUP BY event_id;


--
-- Name: metric_failure_rate; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_failure_rate AS
 SELECT job_type,
    count(*) FILTER (WHERE (status = 'failed'::text)) AS failed,
    count(*) AS finished,
    ((count(*) FILTER (WHERE (status = 'failed'::text)))::double precision / (count(*))::double precision) AS failure_rate
   FROM public.ml_jobs
  WHERE ((status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (completed_at > (now() - '24:00:00'::interval)))
  GROUP BY job_type;


--
-- Name: metric_failures_by_reason; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_failures_by_reason AS
 SELECT job_type,
    error_code,
    count(*) AS jobs,
    max(completed_at) AS last_at
   FROM public.ml_jobs
  WHERE ((status = 'failed'::text) AND (completed_at > (now() - '24:00:00'::interval)))
  GROUP BY job_type, error_code;


--
-- Name: metric_noise_ratio; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_noise_ratio AS
 SELECT DISTINCT ON (event_id) event_id,
    faces,
    clusters,
    persons,
    noise_ratio,
    silhouette,
    churn,
    created_at
   FROM public.cluster_runs
  ORDER BY event_id, created_at DESC;


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    id bigint NOT NULL,
    kind text NOT NULL,
    topic text,
    data jsonb,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    bucket text,
    object_prefix text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    receipt_id uuid,
    CONSTRAINT outbox_delete_is_whole CHECK (((kind <> 'delete_objects'::text) OR ((object_prefix <> ''::text) AND (object_prefix IS NOT NULL) AND (bucket IS DISTINCT FROM ''::text)))),
    CONSTRAINT outbox_kind_check CHECK ((kind = ANY (ARRAY['publish'::text, 'delete_objects'::text]))),
    CONSTRAINT outbox_publish_is_whole CHECK (((kind <> 'publish'::text) OR ((topic IS NOT NULL) AND (data IS NOT NULL))))
);


--
-- Name: metric_outbox; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_outbox AS
 SELECT kind,
    count(*) AS entries,
    min(created_at) AS oldest_created_at,
    max(attempts) AS most_attempts
   FROM public.outbox
  WHERE (due_at <= now())
  GROUP BY kind;


--
-- Name: metric_pending_jobs; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_pending_jobs AS
 SELECT job_type,
    priority,
    status,
    count(*) AS jobs,
    min(created_at) AS oldest_created_at
   FROM public.ml_jobs
  WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]))
  GROUP BY job_type, priority, status;


--
-- Name: metric_processing_time; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_processing_time AS
 SELECT job_type,
    count(*) AS jobs,
    (avg(EXTRACT(epoch FROM (completed_at - started_at))) * (1000)::numeric) AS mean_ms,
    (percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY ((EXTRACT(epoch FROM (completed_at - started_at)))::double precision)) * (1000)::double precision) AS p95_ms
   FROM public.ml_jobs
  WHERE ((status = 'completed'::text) AND (started_at IS NOT NULL) AND (completed_at > (now() - '24:00:00'::interval)))
  GROUP BY job_type;


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email text,
    display_name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    made_by_invitation boolean DEFAULT false NOT NULL
);


--
-- Name: TABLE users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.users IS 'made by Trombi';


--
-- Name: persons_shown; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.persons_shown WITH (security_invoker='true') AS
 SELECT person.id,
    person.event_id,
    person.status,
    person.version,
    person.representative_face_id AS cover_face_id,
    person.merged_into_id,
    person.created_at,
    person.invitation_email,
    person.linked_user_id,
    users.display_name AS linked_name,
    counted.face_count,
    counted.photo_count
   FROM ((public.face_persons person
     LEFT JOIN public.users ON ((users.id = person.linked_user_id)))
     CROSS JOIN LATERAL ( SELECT count(*) AS face_count,
            count(DISTINCT faces.media_id) AS photo_count
           FROM public.faces
          WHERE ((faces.face_person_id = person.id) AND (faces.event_id = person.event_id))) counted);


--
-- Name: purge_receipts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.purge_receipts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    erased jsonb NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    reason text DEFAULT 'purge'::text NOT NULL,
    CONSTRAINT purge_receipts_reason_check CHECK ((reason = ANY (ARRAY['purge'::text, 'archive'::text, 'consent'::text, 'retention'::text, 'event_deleted'::text, 'account_deleted'::text])))
);


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);


--
-- Name: split_suggestions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.split_suggestions (
    face_person_id uuid NOT NULL,
    face_id uuid NOT NULL,
    score real NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT split_suggestions_score_check CHECK (((score >= ('-1'::integer)::double precision) AND (score <= (1)::double precision)))
);


--
-- Name: auth_failures auth_failures_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_failures
    ADD CONSTRAINT auth_failures_pkey PRIMARY KEY (day, reason);


--
-- Name: biometric_reads biometric_reads_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.biometric_reads
    ADD CONSTRAINT biometric_reads_pkey PRIMARY KEY (event_id, day, actor, what, subject_id);


--
-- Name: cluster_runs cluster_runs_job_id_run_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cluster_runs
    ADD CONSTRAINT cluster_runs_job_id_run_key UNIQUE (job_id, run);


--
-- Name: cluster_runs cluster_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cluster_runs
    ADD CONSTRAINT cluster_runs_pkey PRIMARY KEY (id);


--
-- Name: dead_letters dead_letters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);


--
-- Name: decisions decisions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (id);


--
-- Name: deleted_photos deleted_photos_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.deleted_photos
    ADD CONSTRAINT deleted_photos_pkey PRIMARY KEY (media_id);


--
-- Name: event_consents event_consents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_consents
    ADD CONSTRAINT event_consents_pkey PRIMARY KEY (id);


--
-- Name: event_counters event_counters_model_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_counters
    ADD CONSTRAINT event_counters_model_key UNIQUE (event_id, embedding_model);


--
-- Name: event_counters event_counters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_counters
    ADD CONSTRAINT event_counters_pkey PRIMARY KEY (event_id);


--
-- Name: event_members event_members_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_members
    ADD CONSTRAINT event_members_pkey PRIMARY KEY (event_id, user_id);


--
-- Name: events events_consent_is_recorded; Type: CHECK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE public.events
    ADD CONSTRAINT events_consent_is_recorded CHECK (((NOT face_recognition_enabled) OR ((consent_text_version IS NOT NULL) AND (consented_at IS NOT NULL)))) NOT VALID;


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);


--
-- Name: face_persons face_persons_id_event_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_id_event_key UNIQUE (id, event_id);


--
-- Name: face_persons face_persons_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_pkey PRIMARY KEY (id);


--
-- Name: face_rejections face_rejections_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_rejections
    ADD CONSTRAINT face_rejections_pkey PRIMARY KEY (face_id, face_person_id);


--
-- Name: face_suggestions face_suggestions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_suggestions
    ADD CONSTRAINT face_suggestions_pkey PRIMARY KEY (face_id, face_person_id);


--
-- Name: face_tombstones face_tombstones_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_tombstones
    ADD CONSTRAINT face_tombstones_pkey PRIMARY KEY (id);


--
-- Name: faces faces_id_event_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_id_event_key UNIQUE (id, event_id);


--
-- Name: faces faces_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_pkey PRIMARY KEY (id);


--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller, key);


--
-- Name: invitations invitations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_pkey PRIMARY KEY (id);


--
-- Name: invitations invitations_token_hash_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_token_hash_key UNIQUE (token_hash);


--
-- Name: media media_id_event_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_id_event_key UNIQUE (id, event_id);


--
-- Name: media media_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_pkey PRIMARY KEY (id);


--
-- Name: media_tags media_tags_media_id_tagged_user_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_media_id_tagged_user_id_key UNIQUE (media_id, tagged_user_id);


--
-- Name: media_tags media_tags_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_pkey PRIMARY KEY (id);


--
-- Name: merge_suggestions merge_suggestions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.merge_suggestions
    ADD CONSTRAINT merge_suggestions_pkey PRIMARY KEY (person_a_id, person_b_id);


--
-- Name: ml_jobs ml_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ml_jobs
    ADD CONSTRAINT ml_jobs_pkey PRIMARY KEY (id);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: purge_receipts purge_receipts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.purge_receipts
    ADD CONSTRAINT purge_receipts_pkey PRIMARY KEY (id);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: split_suggestions split_suggestions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.split_suggestions
    ADD CONSTRAINT split_suggestions_pkey PRIMARY KEY (face_person_id, face_id);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: biometric_reads_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX biometric_reads_age ON public.biometric_reads USING btree (day);


--
-- Name: biometric_reads_subject_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX biometric_reads_subject_idx ON public.biometric_reads USING btree (subject_id);


--
-- Name: cluster_runs_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX cluster_runs_event_idx ON public.cluster_runs USING btree (event_id, created_at DESC);


--
-- Name: dead_letters_job_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX dead_letters_job_idx ON public.dead_letters USING btree (job_id) WHERE (job_id IS NOT NULL);


--
-- Name: dead_letters_once; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX dead_letters_once ON public.dead_letters USING btree (topic, message_id, md5(data));


--
-- Name: decisions_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX decisions_event_idx ON public.decisions USING btree (event_id, created_at DESC);


--
-- Name: decisions_history; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX decisions_history ON public.decisions USING btree (event_id, version);


--
-- Name: decisions_users_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX decisions_users_idx ON public.decisions USING gin (user_ids);


--
-- Name: deleted_photos_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX deleted_photos_age ON public.deleted_photos USING btree (deleted_at);


--
-- Name: deleted_photos_unsettled_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX deleted_photos_unsettled_idx ON public.deleted_photos USING btree (deleted_at) WHERE (settled_at IS NULL);


--
-- Name: event_consents_event; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_consents_event ON public.event_consents USING btree (event_id, at DESC);


--
-- Name: event_counters_changed_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_counters_changed_idx ON public.event_counters USING btree (first_change_at) WHERE (changed_photos > 0);


--
-- Name: event_counters_requested_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_counters_requested_idx ON public.event_counters USING btree (last_requested_at);


--
-- Name: event_members_user_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_members_user_idx ON public.event_members USING btree (user_id);


--
-- Name: face_persons_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_persons_event_idx ON public.face_persons USING btree (event_id, status);


--
-- Name: face_persons_merged_into_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_persons_merged_into_idx ON public.face_persons USING btree (merged_into_id) WHERE (merged_into_id IS NOT NULL);


--
-- Name: face_persons_user_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_persons_user_idx ON public.face_persons USING btree (linked_user_id) WHERE (linked_user_id IS NOT NULL);


--
-- Name: face_rejections_person_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_rejections_person_idx ON public.face_rejections USING btree (face_person_id);


--
-- Name: face_suggestions_person_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_suggestions_person_idx ON public.face_suggestions USING btree (face_person_id);


--
-- Name: face_tombstones_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_tombstones_event_idx ON public.face_tombstones USING btree (event_id);


--
-- Name: face_tombstones_media_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX face_tombstones_media_idx ON public.face_tombstones USING btree (media_id);


--
-- Name: faces_embedding_hnsw; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_embedding_hnsw ON public.faces USING hnsw (embedding public.vector_cosine_ops);


--
-- Name: faces_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_event_idx ON public.faces USING btree (event_id);


--
-- Name: faces_media_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_media_idx ON public.faces USING btree (media_id);


--
-- Name: faces_person_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_person_idx ON public.faces USING btree (face_person_id, event_id, media_id) WHERE (face_person_id IS NOT NULL);


--
-- Name: faces_retention_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_retention_idx ON public.faces USING btree (created_at) WHERE ((embedding IS NOT NULL) OR (landmarks IS NOT NULL) OR (thumbnail_object IS NOT NULL));


--
-- Name: faces_thumbnail_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_thumbnail_idx ON public.faces USING btree (thumbnail_object) WHERE (thumbnail_object IS NOT NULL);


--
-- Name: idempotency_keys_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (created_at);


--
-- Name: idempotency_keys_event; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_event ON public.idempotency_keys USING btree (event_id) WHERE (event_id IS NOT NULL);


--
-- Name: invitations_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX invitations_age ON public.invitations USING btree (COALESCE(answered_at, expires_at)) WHERE ((email IS NOT NULL) OR (message IS NOT NULL));


--
-- Name: invitations_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX invitations_event_idx ON public.invitations USING btree (event_id);


--
-- Name: invitations_person_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX invitations_person_idx ON public.invitations USING btree (face_person_id);


--
-- Name: media_announced_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_announced_idx ON public.media USING btree (created_at) WHERE ((object_generation IS NULL) AND (deleted_generation = 0));


--
-- Name: media_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_event_idx ON public.media USING btree (event_id);


--
-- Name: media_tags_face_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_tags_face_idx ON public.media_tags USING btree (face_id) WHERE (face_id IS NOT NULL);


--
-- Name: media_tags_user_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_tags_user_idx ON public.media_tags USING btree (tagged_user_id);


--
-- Name: merge_suggestions_b_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX merge_suggestions_b_idx ON public.merge_suggestions USING btree (person_b_id);


--
-- Name: ml_jobs_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ml_jobs_event_idx ON public.ml_jobs USING btree (event_id, job_type, status);


--
-- Name: ml_jobs_one_clustering_at_a_time; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX ml_jobs_one_clustering_at_a_time ON public.ml_jobs USING btree (event_id) WHERE ((job_type = 'cluster'::text) AND (status = ANY (ARRAY['pending'::text, 'processing'::text])));


--
-- Name: ml_jobs_one_per_object_generation; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX ml_jobs_one_per_object_generation ON public.ml_jobs USING btree ((media_ids[1]), object_generation) WHERE ((job_type = 'detect'::text) AND (event_id IS NOT NULL));


--
-- Name: ml_jobs_open_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ml_jobs_open_idx ON public.ml_jobs USING btree (status, priority, created_at) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));


--
-- Name: ml_jobs_unplaced_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ml_jobs_unplaced_idx ON public.ml_jobs USING btree (completed_at) WHERE (event_id IS NULL);


--
-- Name: outbox_deletions_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_deletions_idx ON public.outbox USING btree (bucket, object_prefix) WHERE (kind = 'delete_objects'::text);


--
-- Name: outbox_prefix_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_prefix_idx ON public.outbox USING btree (object_prefix) WHERE (kind = 'delete_objects'::text);


--
-- Name: outbox_receipt_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_receipt_idx ON public.outbox USING btree (receipt_id) WHERE (receipt_id IS NOT NULL);


--
-- Name: purge_receipts_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX purge_receipts_event_idx ON public.purge_receipts USING btree (event_id, requested_at DESC);


--
-- Name: purge_receipts_open_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX purge_receipts_open_idx ON public.purge_receipts USING btree (id) WHERE (completed_at IS NULL);


--
-- Name: split_suggestions_face_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX split_suggestions_face_idx ON public.split_suggestions USING btree (face_id);


--
-- Name: users_address_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX users_address_idx ON public.users USING btree (public.trombi_address(email));


--
-- Name: users Before_RI_trombi_forget_account; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "Before_RI_trombi_forget_account" AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION public.trombi_forget_deleted_account();


--
-- Name: media Before_RI_trombi_lock_counters; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "Before_RI_trombi_lock_counters" AFTER DELETE ON public.media FOR EACH ROW EXECUTE FUNCTION public.trombi_lock_counters_of_deleted_photo();


--
-- Name: media trombi_announce_object; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_announce_object BEFORE UPDATE OF bucket, object_name ON public.media FOR EACH ROW WHEN ((((old.bucket IS DISTINCT FROM new.bucket) OR (old.object_name IS DISTINCT FROM new.object_name)) AND (NOT (old.object_generation IS DISTINCT FROM new.object_generation)) AND (old.object_generation IS NOT NULL))) EXECUTE FUNCTION public.trombi_announce_object();


--
-- Name: events trombi_erase_biometrics; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_erase_biometrics AFTER UPDATE OF archived_at, face_recognition_enabled ON public.events FOR EACH ROW WHEN ((((old.archived_at IS NULL) AND (new.archived_at IS NOT NULL)) OR (old.face_recognition_enabled AND (NOT new.face_recognition_enabled)))) EXECUTE FUNCTION public.cleanup_face_embeddings_on_event_archive();


--
-- Name: events trombi_erase_event; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_erase_event BEFORE DELETE ON public.events FOR EACH ROW EXECUTE FUNCTION public.trombi_erase_deleted_event();


--
-- Name: faces trombi_erase_left_thumbnail; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER trombi_erase_left_thumbnail AFTER DELETE ON public.faces DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.thumbnail_object <> ''::text)) EXECUTE FUNCTION public.trombi_erase_left_thumbnail();


--
-- Name: faces trombi_forget_split_suggestions; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_forget_split_suggestions AFTER UPDATE OF embedding ON public.faces FOR EACH ROW WHEN (((old.embedding IS NOT NULL) AND (new.embedding IS NULL))) EXECUTE FUNCTION public.trombi_forget_split_suggestions();


--
-- Name: events trombi_log_consent; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_log_consent AFTER UPDATE OF face_recognition_enabled, consent_text_version ON public.events FOR EACH ROW WHEN (((old.face_recognition_enabled IS DISTINCT FROM new.face_recognition_enabled) OR (new.face_recognition_enabled AND (old.consent_text_version IS DISTINCT FROM new.consent_text_version)))) EXECUTE FUNCTION public.trombi_log_consent();


--
-- Name: events trombi_log_first_consent; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_log_first_consent AFTER INSERT ON public.events FOR EACH ROW WHEN (new.face_recognition_enabled) EXECUTE FUNCTION public.trombi_log_consent();


--
-- Name: face_tombstones trombi_name_picture; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_name_picture BEFORE INSERT ON public.face_tombstones FOR EACH ROW EXECUTE FUNCTION public.trombi_name_picture_of_tombstone();


--
-- Name: face_persons trombi_normalise; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF invitation_email, status ON public.face_persons FOR EACH ROW EXECUTE FUNCTION public.trombi_normalise_person();


--
-- Name: invitations trombi_normalise; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF email ON public.invitations FOR EACH ROW EXECUTE FUNCTION public.trombi_normalise_address();


--
-- Name: media trombi_note_deleted_photos; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_note_deleted_photos AFTER DELETE ON public.media REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.trombi_note_deleted_photos();


--
-- Name: faces trombi_replace_covers; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER trombi_replace_covers AFTER DELETE ON public.faces REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.trombi_replace_covers();


--
-- Name: cluster_runs cluster_runs_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cluster_runs
    ADD CONSTRAINT cluster_runs_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: cluster_runs cluster_runs_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cluster_runs
    ADD CONSTRAINT cluster_runs_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.ml_jobs(id) ON DELETE CASCADE;


--
-- Name: dead_letters dead_letters_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.ml_jobs(id) ON DELETE SET NULL;


--
-- Name: decisions decisions_actor_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES public.users(id) ON DELETE SET NULL;


--
-- Name: decisions decisions_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: decisions decisions_undone_by_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_undone_by_fkey FOREIGN KEY (undone_by) REFERENCES public.decisions(id) ON DELETE SET NULL;


--
-- Name: event_counters event_counters_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_counters
    ADD CONSTRAINT event_counters_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: event_members event_members_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_members
    ADD CONSTRAINT event_members_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: event_members event_members_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_members
    ADD CONSTRAINT event_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;


--
-- Name: events events_creator_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_creator_id_fkey FOREIGN KEY (creator_id) REFERENCES public.users(id) ON DELETE SET NULL;


--
-- Name: face_persons face_persons_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: face_persons face_persons_linked_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_linked_user_id_fkey FOREIGN KEY (linked_user_id) REFERENCES public.users(id) ON DELETE SET NULL;


--
-- Name: face_persons face_persons_merged_into_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_merged_into_fkey FOREIGN KEY (merged_into_id, event_id) REFERENCES public.face_persons(id, event_id) ON DELETE CASCADE;


--
-- Name: face_persons face_persons_representative_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_persons
    ADD CONSTRAINT face_persons_representative_fkey FOREIGN KEY (representative_face_id, event_id) REFERENCES public.faces(id, event_id) ON DELETE SET NULL (representative_face_id);


--
-- Name: face_rejections face_rejections_face_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_rejections
    ADD CONSTRAINT face_rejections_face_id_fkey FOREIGN KEY (face_id) REFERENCES public.faces(id) ON DELETE CASCADE;


--
-- Name: face_rejections face_rejections_face_person_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_rejections
    ADD CONSTRAINT face_rejections_face_person_id_fkey FOREIGN KEY (face_person_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: face_suggestions face_suggestions_face_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_suggestions
    ADD CONSTRAINT face_suggestions_face_id_fkey FOREIGN KEY (face_id) REFERENCES public.faces(id) ON DELETE CASCADE;


--
-- Name: face_suggestions face_suggestions_face_person_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_suggestions
    ADD CONSTRAINT face_suggestions_face_person_id_fkey FOREIGN KEY (face_person_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: face_tombstones face_tombstones_event_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_tombstones
    ADD CONSTRAINT face_tombstones_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: faces faces_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: faces faces_media_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_media_fkey FOREIGN KEY (media_id, event_id) REFERENCES public.media(id, event_id) ON DELETE CASCADE;


--
-- Name: faces faces_one_model_per_event; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model) REFERENCES public.event_counters(event_id, embedding_model) ON UPDATE CASCADE;


--
-- Name: faces faces_person_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_person_fkey FOREIGN KEY (face_person_id, event_id) REFERENCES public.face_persons(id, event_id) ON DELETE SET NULL (face_person_id);


--
-- Name: invitations invitations_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: invitations invitations_face_person_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_face_person_id_fkey FOREIGN KEY (face_person_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: invitations invitations_invited_by_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES public.users(id) ON DELETE SET NULL;


--
-- Name: media media_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: media_tags media_tags_face_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_face_id_fkey FOREIGN KEY (face_id) REFERENCES public.faces(id) ON DELETE SET NULL;


--
-- Name: media_tags media_tags_media_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_media_id_fkey FOREIGN KEY (media_id) REFERENCES public.media(id) ON DELETE CASCADE;


--
-- Name: media_tags media_tags_tagged_by_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_tagged_by_user_id_fkey FOREIGN KEY (tagged_by_user_id) REFERENCES public.users(id) ON DELETE SET NULL;


--
-- Name: media_tags media_tags_tagged_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_tags
    ADD CONSTRAINT media_tags_tagged_user_id_fkey FOREIGN KEY (tagged_user_id) REFERENCES public.users(id) ON DELETE CASCADE;


--
-- Name: merge_suggestions merge_suggestions_person_a_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.merge_suggestions
    ADD CONSTRAINT merge_suggestions_person_a_id_fkey FOREIGN KEY (person_a_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: merge_suggestions merge_suggestions_person_b_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.merge_suggestions
    ADD CONSTRAINT merge_suggestions_person_b_id_fkey FOREIGN KEY (person_b_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: ml_jobs ml_jobs_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ml_jobs
    ADD CONSTRAINT ml_jobs_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- Name: split_suggestions split_suggestions_face_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.split_suggestions
    ADD CONSTRAINT split_suggestions_face_id_fkey FOREIGN KEY (face_id) REFERENCES public.faces(id) ON DELETE CASCADE;


--
-- Name: split_suggestions split_suggestions_face_person_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.split_suggestions
    ADD CONSTRAINT split_suggestions_face_person_id_fkey FOREIGN KEY (face_person_id) REFERENCES public.face_persons(id) ON DELETE CASCADE;


--
-- Name: auth_failures; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.auth_failures ENABLE ROW LEVEL SECURITY;

--
-- Name: biometric_reads; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.biometric_reads ENABLE ROW LEVEL SECURITY;

--
-- Name: cluster_runs; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.cluster_runs ENABLE ROW LEVEL SECURITY;

--
-- Name: dead_letters; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.dead_letters ENABLE ROW LEVEL SECURITY;

--
-- Name: decisions; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.decisions ENABLE ROW LEVEL SECURITY;

--
-- Name: deleted_photos; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.deleted_photos ENABLE ROW LEVEL SECURITY;

--
-- Name: event_consents; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.event_consents ENABLE ROW LEVEL SECURITY;

--
-- Name: event_counters; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.event_counters ENABLE ROW LEVEL SECURITY;

--
-- Name: event_members; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.event_members ENABLE ROW LEVEL SECURITY;

--
-- Name: events; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;

--
-- Name: face_persons; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.face_persons ENABLE ROW LEVEL SECURITY;

--
-- Name: face_rejections; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.face_rejections ENABLE ROW LEVEL SECURITY;

--
-- Name: face_suggestions; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.face_suggestions ENABLE ROW LEVEL SECURITY;

--
-- Name: face_tombstones; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.face_tombstones ENABLE ROW LEVEL SECURITY;

--
-- Name: faces; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.faces ENABLE ROW LEVEL SECURITY;

--
-- Name: idempotency_keys; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

--
-- Name: invitations; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.invitations ENABLE ROW LEVEL SECURITY;

--
-- Name: media; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.media ENABLE ROW LEVEL SECURITY;

--
-- Name: media_tags; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.media_tags ENABLE ROW LEVEL SECURITY;

--
-- Name: event_members members_see_membership; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY members_see_membership ON public.event_members FOR SELECT TO authenticated USING (((user_id = public.trombi_user_id()) OR public.trombi_is_organiser(event_id)));


--
-- Name: media members_see_photos; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY members_see_photos ON public.media FOR SELECT TO authenticated USING (public.trombi_is_member(event_id));


--
-- Name: events members_see_the_event; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY members_see_the_event ON public.events FOR SELECT TO authenticated USING (public.trombi_is_member(id));


--
-- Name: merge_suggestions; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.merge_suggestions ENABLE ROW LEVEL SECURITY;

--
-- Name: ml_jobs; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.ml_jobs ENABLE ROW LEVEL SECURITY;

--
-- Name: merge_suggestions organisers_answer_merges; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_answer_merges ON public.merge_suggestions FOR DELETE TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.face_persons
  WHERE ((face_persons.id = merge_suggestions.person_a_id) AND (face_persons.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: face_suggestions organisers_answer_suggestions; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_answer_suggestions ON public.face_suggestions FOR DELETE TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = face_suggestions.face_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: ml_jobs organisers_ask_for_jobs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_ask_for_jobs ON public.ml_jobs FOR INSERT TO trombi_reviewer WITH CHECK (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) AND (job_type = 'detect'::text) AND (status = 'pending'::text) AND (public.trombi_event_of_media(media_ids[1]) = event_id)));


--
-- Name: ml_jobs organisers_ask_for_jobs_anew; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_ask_for_jobs_anew ON public.ml_jobs FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) AND (status = 'pending'::text)));


--
-- Name: invitations organisers_change_invitations; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_change_invitations ON public.invitations FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) AND (public.trombi_event_of_person(face_person_id) = event_id)));


--
-- Name: face_persons organisers_change_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_change_persons ON public.face_persons FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: media_tags organisers_change_tags; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_change_tags ON public.media_tags FOR UPDATE TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.media
  WHERE ((media.id = media_tags.media_id) AND (media.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])))))) WITH CHECK (((face_id IS NULL) OR (EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = media_tags.face_id) AND (faces.media_id = media_tags.media_id))))));


--
-- Name: event_counters organisers_count; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_count ON public.event_counters FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: decisions organisers_decide; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_decide ON public.decisions FOR INSERT TO trombi_reviewer WITH CHECK (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) AND (actor_id = ( SELECT public.trombi_user_id() AS trombi_user_id))));


--
-- Name: invitations organisers_invite; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_invite ON public.invitations FOR INSERT TO trombi_reviewer WITH CHECK (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) AND (invited_by = ( SELECT public.trombi_user_id() AS trombi_user_id)) AND (public.trombi_event_of_person(face_person_id) = event_id)));


--
-- Name: events organisers_lock_events; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_lock_events ON public.events FOR UPDATE TO trombi_reviewer USING ((id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK (false);


--
-- Name: media organisers_lock_photos; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_lock_photos ON public.media FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK (false);


--
-- Name: face_persons organisers_make_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_make_persons ON public.face_persons FOR INSERT TO trombi_reviewer WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: faces organisers_place_faces; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_place_faces ON public.faces FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: outbox organisers_publish; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_publish ON public.outbox FOR INSERT TO trombi_reviewer WITH CHECK (((kind = 'publish'::text) AND (((data ->> 'event_id'::text))::uuid = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))));


--
-- Name: merge_suggestions organisers_put_merges_back; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_put_merges_back ON public.merge_suggestions FOR INSERT TO trombi_reviewer WITH CHECK ((EXISTS ( SELECT
   FROM (public.face_persons one
     JOIN public.face_persons other ON ((other.event_id = one.event_id)))
  WHERE ((one.id = merge_suggestions.person_a_id) AND (other.id = merge_suggestions.person_b_id) AND (one.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: face_suggestions organisers_put_suggestions_back; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_put_suggestions_back ON public.face_suggestions FOR INSERT TO trombi_reviewer WITH CHECK ((EXISTS ( SELECT
   FROM (public.faces
     JOIN public.face_persons ON ((face_persons.event_id = faces.event_id)))
  WHERE ((faces.id = face_suggestions.face_id) AND (face_persons.id = face_suggestions.face_person_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: face_rejections organisers_reject; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_reject ON public.face_rejections FOR INSERT TO trombi_reviewer WITH CHECK ((EXISTS ( SELECT
   FROM (public.faces
     JOIN public.face_persons ON ((face_persons.event_id = faces.event_id)))
  WHERE ((faces.id = face_rejections.face_id) AND (face_persons.id = face_rejections.face_person_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: event_consents organisers_see_consents; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_consents ON public.event_consents FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: event_counters organisers_see_counters; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_counters ON public.event_counters FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: decisions organisers_see_decisions; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_decisions ON public.decisions FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: faces organisers_see_faces; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_faces ON public.faces FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: invitations organisers_see_invitations; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_invitations ON public.invitations FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: ml_jobs organisers_see_jobs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_jobs ON public.ml_jobs FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: merge_suggestions organisers_see_merges; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_merges ON public.merge_suggestions FOR SELECT TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.face_persons
  WHERE ((face_persons.id = merge_suggestions.person_a_id) AND (face_persons.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: face_persons organisers_see_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_persons ON public.face_persons FOR SELECT TO authenticated USING ((public.trombi_is_organiser(event_id) OR ((linked_user_id = public.trombi_user_id()) AND public.trombi_is_member(event_id))));


--
-- Name: purge_receipts organisers_see_receipts; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_receipts ON public.purge_receipts FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: face_rejections organisers_see_rejections; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_rejections ON public.face_rejections FOR SELECT TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = face_rejections.face_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: cluster_runs organisers_see_runs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_runs ON public.cluster_runs FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: split_suggestions organisers_see_splits; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_splits ON public.split_suggestions FOR SELECT TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.face_persons
  WHERE ((face_persons.id = split_suggestions.face_person_id) AND (face_persons.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: face_suggestions organisers_see_suggestions; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_suggestions ON public.face_suggestions FOR SELECT TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = face_suggestions.face_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: ml_jobs organisers_see_their_jobs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_their_jobs ON public.ml_jobs FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: cluster_runs organisers_see_their_runs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_their_runs ON public.cluster_runs FOR SELECT TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: event_counters organisers_start_counters; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_start_counters ON public.event_counters FOR INSERT TO trombi_reviewer WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: media_tags organisers_tag; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_tag ON public.media_tags FOR INSERT TO trombi_reviewer WITH CHECK (((EXISTS ( SELECT
   FROM public.media
  WHERE ((media.id = media_tags.media_id) AND (media.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))) AND ((face_id IS NULL) OR (EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = media_tags.face_id) AND (faces.media_id = media_tags.media_id)))))));


--
-- Name: invitations organisers_take_back_invitations; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_take_back_invitations ON public.invitations FOR DELETE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: event_members organisers_take_back_members; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_take_back_members ON public.event_members FOR DELETE TO trombi_reviewer USING (((role = 'member'::text) AND (event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))));


--
-- Name: face_rejections organisers_take_back_rejections; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_take_back_rejections ON public.face_rejections FOR DELETE TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.faces
  WHERE ((faces.id = face_rejections.face_id) AND (faces.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: decisions organisers_undo; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_undo ON public.decisions FOR UPDATE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))) WITH CHECK ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: face_persons organisers_unmake_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_unmake_persons ON public.face_persons FOR DELETE TO trombi_reviewer USING ((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])));


--
-- Name: media_tags organisers_untag; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_untag ON public.media_tags FOR DELETE TO trombi_reviewer USING ((EXISTS ( SELECT
   FROM public.media
  WHERE ((media.id = media_tags.media_id) AND (media.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))))));


--
-- Name: outbox; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;

--
-- Name: idempotency_keys own_keys; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY own_keys ON public.idempotency_keys TO trombi_reviewer USING ((caller = (( SELECT public.trombi_user_id() AS trombi_user_id))::text)) WITH CHECK ((caller = (( SELECT public.trombi_user_id() AS trombi_user_id))::text));


--
-- Name: users own_row; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY own_row ON public.users FOR SELECT TO authenticated USING ((id = public.trombi_user_id()));


--
-- Name: media_tags own_tags_and_organisers; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY own_tags_and_organisers ON public.media_tags FOR SELECT TO authenticated USING ((((tagged_user_id = public.trombi_user_id()) AND public.trombi_is_member(public.trombi_event_of_media(media_id))) OR public.trombi_is_organiser(public.trombi_event_of_media(media_id))));


--
-- Name: purge_receipts; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.purge_receipts ENABLE ROW LEVEL SECURITY;

--
-- Name: faces reviewers_see_faces; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_faces ON public.faces FOR SELECT TO trombi_reviewer USING (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) OR (face_person_id = ANY (( SELECT public.trombi_own_persons() AS trombi_own_persons)::uuid[]))));


--
-- Name: users reviewers_see_fellows; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_fellows ON public.users FOR SELECT TO trombi_reviewer USING ((id IN ( SELECT public.trombi_fellow_users() AS trombi_fellow_users)));


--
-- Name: event_members reviewers_see_members; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_members ON public.event_members FOR SELECT TO trombi_reviewer USING (((user_id = ( SELECT public.trombi_user_id() AS trombi_user_id)) OR (event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[]))));


--
-- Name: face_persons reviewers_see_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_persons ON public.face_persons FOR SELECT TO trombi_reviewer USING (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) OR (id = ANY (( SELECT public.trombi_own_persons() AS trombi_own_persons)::uuid[]))));


--
-- Name: media reviewers_see_photos; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_photos ON public.media FOR SELECT TO trombi_reviewer USING (((event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])) OR (id = ANY (( SELECT public.trombi_own_photos() AS trombi_own_photos)::uuid[]))));


--
-- Name: media_tags reviewers_see_tags; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_tags ON public.media_tags FOR SELECT TO trombi_reviewer USING ((((tagged_user_id = ( SELECT public.trombi_user_id() AS trombi_user_id)) AND (media_id = ANY (( SELECT public.trombi_own_photos() AS trombi_own_photos)::uuid[]))) OR (EXISTS ( SELECT
   FROM public.media
  WHERE ((media.id = media_tags.media_id) AND (media.event_id = ANY (( SELECT public.trombi_organised_events() AS trombi_organised_events)::uuid[])))))));


--
-- Name: events reviewers_see_their_events; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY reviewers_see_their_events ON public.events FOR SELECT TO trombi_reviewer USING ((id = ANY (( SELECT public.trombi_member_events() AS trombi_member_events)::uuid[])));


--
-- Name: split_suggestions; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.split_suggestions ENABLE ROW LEVEL SECURITY;

--
-- Name: users; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

--
-- PostgreSQL database dump complete
--

\unrestrict dbmate


--
-- Dbmate schema migrations
--

INSERT INTO public.schema_migrations (version) VALUES
    ('0001'),
    ('0002'),
    ('0003'),
    ('0004'),
    ('0005'),
    ('0006'),
    ('0007'),
    ('0008'),
    ('0009'),
    ('0010'),
    ('0011'),
    ('0012'),
    ('0013'),
    ('0014'),
    ('0015'),
    ('0016'),
    ('0017'),
    ('0018');
