-- migrate:up
-- Two accounts may have one address: the host app spells it as it likes, and its constraint may let two spellings be
-- two accounts. A purge by the address is about whoever has it: all of them, with one receipt.

-- The rows above the counters in the order of locks, for a purge of several accounts. False where there is no such
-- event (any more).
CREATE OR REPLACE FUNCTION trombi_hold_for_erasure_of(of_event uuid, user_list uuid[], addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
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

-- The second of two receipts goes into the first: the counts of both, and the objects of both to be erased.
CREATE OR REPLACE FUNCTION trombi_join_receipts(kept jsonb, joined jsonb) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
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

CREATE OR REPLACE FUNCTION purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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

DO $$
DECLARE
    name text;
    of_role text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'trombi_hold_for_erasure_of(uuid, uuid[], text[])', 'trombi_join_receipts(jsonb, jsonb)'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
END
$$;

-- migrate:down
