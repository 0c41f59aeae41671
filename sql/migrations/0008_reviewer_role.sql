-- migrate:up
-- The role in which admin works for a user: what access.py allowed is checked here a second time, by the database.
-- DATABASE_URL's user has to be a member of it, which the user that migrates becomes here.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'trombi_reviewer') THEN
        CREATE ROLE trombi_reviewer NOLOGIN;
    END IF;
    -- Who makes a role may grant it, but not yet take it (from Postgres 16 on); a superuser may take any.
    IF NOT pg_has_role(
        'trombi_reviewer', CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END
    ) THEN
        GRANT trombi_reviewer TO CURRENT_USER;
    END IF;
END
$$;

-- What a policy asks once per statement (as a subquery of its own), not once per row. Security definer, so that they are
-- not bound by the policies that call them; each answers about the user of the request alone.
CREATE FUNCTION trombi_organised_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members
        WHERE user_id = trombi_user_id() AND role IN ('owner', 'organizer') $$;
CREATE FUNCTION trombi_member_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members WHERE user_id = trombi_user_id() $$;
-- The persons that the user is, in events that they belong to.
CREATE FUNCTION trombi_own_persons() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT coalesce(array_agg(id), '{}') FROM face_persons
        WHERE linked_user_id = trombi_user_id() AND status = 'linked' AND event_id = ANY (trombi_member_events()) $$;
-- The photos that the user is tagged in, in events that they belong to.
CREATE FUNCTION trombi_own_photos() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT coalesce(array_agg(media.id), '{}') FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = trombi_user_id() AND source <> 'suggested'
            AND media.event_id = ANY (trombi_member_events()) $$;
-- Who an organiser meets in the events that they organise: members, who is linked, tagged, or has decided something.
CREATE FUNCTION trombi_fellow_users() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
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

-- Which event something belongs to, whoever asks: admin tells a stranger 404 and a member 403.
CREATE FUNCTION trombi_event_of_person(person_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT event_id FROM face_persons WHERE id = person_id $$;
CREATE FUNCTION trombi_event_of_face(face_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT event_id FROM faces WHERE id = face_id $$;
CREATE FUNCTION trombi_event_of_decision(decision_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT event_id FROM decisions WHERE id = decision_id $$;

-- Nobody else may call these: not through PostgREST either, where some hosts grant every new function.
DO $$
DECLARE
    asked text;
    api_role text;
BEGIN
    FOREACH asked IN ARRAY ARRAY[
        'trombi_organised_events()', 'trombi_member_events()', 'trombi_own_persons()', 'trombi_own_photos()',
        'trombi_fellow_users()', 'trombi_event_of_person(uuid)', 'trombi_event_of_face(uuid)',
        'trombi_event_of_decision(uuid)'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', asked);
        FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', asked, api_role);
        END LOOP;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO trombi_reviewer', asked);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION trombi_user_id(), trombi_event_of_media(uuid), is_normalised_box(jsonb) TO trombi_reviewer;
GRANT USAGE ON SCHEMA public TO trombi_reviewer;

-- ---------------------------------------------------------------- the host app's tables
-- Policies only add: where the host app keeps its tables open, they stay open. Columns that a host app's table does
-- not have are not granted.
DO $$
DECLARE
    wanted record;
    granted text;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('users', 'SELECT', ARRAY['id', 'email', 'display_name', 'created_at']),
        ('events', 'SELECT', ARRAY['id', 'name', 'creator_id', 'created_at', 'language', 'face_recognition_enabled',
            'consent_text_version', 'consented_at', 'archived_at']),
        -- To lock an event's or a photo's row; the policies refuse every change.
        ('events', 'UPDATE', ARRAY['id']),
        ('media', 'SELECT', ARRAY['id', 'event_id', 'created_at', 'bucket', 'object_name', 'object_generation',
            'deleted_generation']),
        ('media', 'UPDATE', ARRAY['id'])
    ) AS listed (in_table, privilege, columns) LOOP
        SELECT string_agg(quote_ident(attname), ', ') INTO granted FROM pg_attribute
        WHERE attrelid = to_regclass(wanted.in_table) AND attname = ANY (wanted.columns) AND NOT attisdropped;
        EXECUTE format('GRANT %s (%s) ON %I TO trombi_reviewer', wanted.privilege, granted, wanted.in_table);
    END LOOP;
END
$$;
GRANT SELECT, DELETE ON event_members TO trombi_reviewer;

CREATE POLICY reviewers_see_fellows ON users FOR SELECT TO trombi_reviewer USING (
    id IN (SELECT trombi_fellow_users())
);
CREATE POLICY reviewers_see_their_events ON events FOR SELECT TO trombi_reviewer USING (
    id = ANY ((SELECT trombi_member_events())::uuid[])
);
CREATE POLICY organisers_lock_events ON events FOR UPDATE TO trombi_reviewer
    USING (id = ANY ((SELECT trombi_organised_events())::uuid[])) WITH CHECK (false);
CREATE POLICY reviewers_see_members ON event_members FOR SELECT TO trombi_reviewer USING (
    user_id = (SELECT trombi_user_id()) OR event_id = ANY ((SELECT trombi_organised_events())::uuid[])
);
-- An accepted invitation makes a member; taking it back takes that back.
CREATE POLICY organisers_take_back_members ON event_members FOR DELETE TO trombi_reviewer USING (
    role = 'member' AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
);
CREATE POLICY reviewers_see_photos ON media FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) OR id = ANY ((SELECT trombi_own_photos())::uuid[])
);
CREATE POLICY organisers_lock_photos ON media FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[])) WITH CHECK (false);

-- ---------------------------------------------------------------- faces and persons

-- Never an embedding, never landmarks.
GRANT SELECT (
    id, media_id, event_id, object_generation, face_person_id, placed_by_human, bbox, embedding_model, quality_score,
    sharpness, yaw, pitch, roll, size_px, thumbnail_object, created_at, updated_at
), UPDATE (face_person_id, placed_by_human, updated_at) ON faces TO trombi_reviewer;
CREATE POLICY reviewers_see_faces ON faces FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    OR face_person_id = ANY ((SELECT trombi_own_persons())::uuid[])
);
CREATE POLICY organisers_place_faces ON faces FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT, DELETE ON face_persons TO trombi_reviewer;
GRANT INSERT (id, event_id, status, metadata, representative_face_id, cover_chosen_by_human) ON face_persons
    TO trombi_reviewer;
GRANT UPDATE (
    representative_face_id, linked_user_id, status, invitation_email, merged_into_id, metadata, cover_chosen_by_human,
    version, updated_at
) ON face_persons TO trombi_reviewer;
CREATE POLICY reviewers_see_persons ON face_persons FOR SELECT TO trombi_reviewer USING (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) OR id = ANY ((SELECT trombi_own_persons())::uuid[])
);
CREATE POLICY organisers_make_persons ON face_persons FOR INSERT TO trombi_reviewer
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_change_persons ON face_persons FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_unmake_persons ON face_persons FOR DELETE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT, INSERT, DELETE, UPDATE (tagged_by_user_id, source, bbox, face_id) ON media_tags TO trombi_reviewer;
CREATE POLICY reviewers_see_tags ON media_tags FOR SELECT TO trombi_reviewer USING (
    (tagged_user_id = (SELECT trombi_user_id()) AND media_id = ANY ((SELECT trombi_own_photos())::uuid[]))
    OR EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_tag ON media_tags FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
    AND (face_id IS NULL OR EXISTS (SELECT FROM faces WHERE faces.id = face_id AND faces.media_id = media_tags.media_id))
);
CREATE POLICY organisers_change_tags ON media_tags FOR UPDATE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
) WITH CHECK (
    face_id IS NULL OR EXISTS (SELECT FROM faces WHERE faces.id = face_id AND faces.media_id = media_tags.media_id)
);
CREATE POLICY organisers_untag ON media_tags FOR DELETE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM media WHERE media.id = media_id AND media.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);

-- ---------------------------------------------------------------- what people said, and what they are asked
-- These tables name a face and a person: both have to be of an event that the user organises.

GRANT SELECT, INSERT, DELETE ON face_rejections, face_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_rejections ON face_rejections FOR SELECT TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_reject ON face_rejections FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.event_id = faces.event_id
        WHERE faces.id = face_id AND face_persons.id = face_rejections.face_person_id
            AND faces.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_take_back_rejections ON face_rejections FOR DELETE TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_see_suggestions ON face_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
CREATE POLICY organisers_put_suggestions_back ON face_suggestions FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM faces JOIN face_persons ON face_persons.event_id = faces.event_id
        WHERE faces.id = face_id AND face_persons.id = face_suggestions.face_person_id
            AND faces.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_answer_suggestions ON face_suggestions FOR DELETE TO trombi_reviewer USING (
    EXISTS (SELECT FROM faces WHERE id = face_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
);
GRANT SELECT, INSERT, DELETE ON merge_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_merges ON merge_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = person_a_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_put_merges_back ON merge_suggestions FOR INSERT TO trombi_reviewer WITH CHECK (
    EXISTS (
        SELECT FROM face_persons AS one JOIN face_persons AS other ON other.event_id = one.event_id
        WHERE one.id = person_a_id AND other.id = person_b_id
            AND one.event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);
CREATE POLICY organisers_answer_merges ON merge_suggestions FOR DELETE TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = person_a_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
    )
);

-- The ledger only grows, and nobody signs as another.
GRANT SELECT, INSERT, UPDATE (undone_by) ON decisions TO trombi_reviewer;
CREATE POLICY organisers_see_decisions ON decisions FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_decide ON decisions FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND actor_id = (SELECT trombi_user_id())
);
CREATE POLICY organisers_undo ON decisions FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Never the token's hash.
GRANT SELECT (
    id, event_id, face_person_id, email, invited_by, expires_at, answered_at, answer, created_at, language, message,
    sent_at
), INSERT, DELETE, UPDATE (face_person_id, expires_at, answered_at, answer) ON invitations TO trombi_reviewer;
CREATE POLICY organisers_see_invitations ON invitations FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_invite ON invitations FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND invited_by = (SELECT trombi_user_id())
    AND trombi_event_of_person(face_person_id) = event_id
);
CREATE POLICY organisers_change_invitations ON invitations FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (
        event_id = ANY ((SELECT trombi_organised_events())::uuid[])
        AND trombi_event_of_person(face_person_id) = event_id
    );
CREATE POLICY organisers_take_back_invitations ON invitations FOR DELETE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Consent is changed, faces are purged and reads are noted by functions with the owner's rights (0009), which ask
-- themselves who may.
GRANT SELECT ON event_consents TO trombi_reviewer;
CREATE POLICY organisers_see_consents ON event_consents FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
GRANT SELECT ON purge_receipts TO trombi_reviewer;
CREATE POLICY organisers_see_receipts ON purge_receipts FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- ---------------------------------------------------------------- jobs and bookkeeping

GRANT SELECT, INSERT (job_type, event_id, media_ids, object_generation, priority, released_at), UPDATE (
    status, run, attempts, error_code, error, result, priority, released_at, started_at, completed_at, reported_at
) ON ml_jobs TO trombi_reviewer;
CREATE POLICY organisers_see_their_jobs ON ml_jobs FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_ask_for_jobs ON ml_jobs FOR INSERT TO trombi_reviewer WITH CHECK (
    event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND job_type = 'detect' AND status = 'pending'
    AND trombi_event_of_media(media_ids[1]) = event_id
);
CREATE POLICY organisers_ask_for_jobs_anew ON ml_jobs FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]) AND status = 'pending');

GRANT SELECT, INSERT (event_id, decision_version), UPDATE (decision_version, changed_photos, first_change_at)
    ON event_counters TO trombi_reviewer;
CREATE POLICY organisers_see_counters ON event_counters FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_start_counters ON event_counters FOR INSERT TO trombi_reviewer
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));
CREATE POLICY organisers_count ON event_counters FOR UPDATE TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]))
    WITH CHECK (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

GRANT SELECT ON cluster_runs TO trombi_reviewer;
CREATE POLICY organisers_see_their_runs ON cluster_runs FOR SELECT TO trombi_reviewer
    USING (event_id = ANY ((SELECT trombi_organised_events())::uuid[]));

-- Messages about their own events; what is to be deleted is asked for by triggers, which have the owner's rights.
GRANT INSERT (kind, topic, data, attributes) ON outbox TO trombi_reviewer;
CREATE POLICY organisers_publish ON outbox FOR INSERT TO trombi_reviewer WITH CHECK (
    kind = 'publish' AND (data ->> 'event_id')::uuid = ANY ((SELECT trombi_organised_events())::uuid[])
);

GRANT SELECT, INSERT (caller, key, fingerprint, event_id), UPDATE (status, answer, event_id) ON idempotency_keys
    TO trombi_reviewer;
CREATE POLICY own_keys ON idempotency_keys TO trombi_reviewer
    USING (caller = (SELECT trombi_user_id())::text) WITH CHECK (caller = (SELECT trombi_user_id())::text);

-- migrate:down
