-- migrate:up
-- A decision about faces that a deleted account's person had (a merge, a split, a move) can still be undone: it puts the
-- faces back, and links nobody. Before, such a decision was erased with those that said who the person is.

-- Leave a user out of the decisions that can be undone without them: images of rows lose the link, rows of the user's own
-- (tags, membership, invitations) are no longer put back. Whose a person was before is kept as a hash, as on the person.
-- Answers how many decisions it changed.
CREATE OR REPLACE FUNCTION trombi_leave_out_of_decisions(
    of_event uuid, of_user uuid, invitation_list uuid[], addresses text[]
) RETURNS integer LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
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
CREATE OR REPLACE FUNCTION trombi_unlinked_image(decision decisions, image jsonb, of_user uuid, addresses text[])
    RETURNS jsonb LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
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

-- As in 0015, but for those decisions.
CREATE OR REPLACE FUNCTION trombi_forget_account(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
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

-- An undo puts back whose a person was, where the decision knows.
GRANT UPDATE (former_user_hash) ON face_persons TO trombi_reviewer;

DO $$
DECLARE
    name text;
    of_role text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'trombi_leave_out_of_decisions(uuid, uuid, uuid[], text[])',
        'trombi_unlinked_image(decisions, jsonb, uuid, text[])'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
END
$$;

-- migrate:down
