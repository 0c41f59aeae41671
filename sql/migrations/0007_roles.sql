-- migrate:up
-- Who may read and write what. Whoever migrates owns everything, and the functions connect as that role, which no policy
-- binds. Beside it there are
--   trombi_reviewer  in which admin works for a user: what it allowed is checked here a second time, by the database.
--                    The user of DATABASE_URL has to be a member of it, which the user that migrates becomes here
--   authenticated    users of the host app who reach these tables through PostgREST (Supabase): they see their own
--   service_role     the host app's server, on Supabase, where that role passes row level security
--   anon             nothing at all
-- Roles belong to the whole server, not to this database: those that are made here say so in a comment, so that
-- uninstalling drops no others.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['trombi_reviewer', 'authenticated'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, 'made by Trombi');
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of this server is migrated at the same time.
            END;
        END IF;
    END LOOP;
    -- Who creates a role may grant it, but not yet assume it (from Postgres 16 on); a superuser may assume any.
    IF NOT pg_has_role(
        'trombi_reviewer', CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END
    ) THEN
        GRANT trombi_reviewer TO CURRENT_USER;
    END IF;
END
$$;

-- ---------------------------------------------------------------- what policies ask

-- Once per statement (as a subquery of its own), not once per row. They run with the owner's rights, so that they are not
-- bound by the policies that call them; each answers about the user of the request alone.
CREATE FUNCTION trombi_organised_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members
        WHERE user_id = trombi_user_id() AND role IN ('owner', 'organizer') $$;
CREATE FUNCTION trombi_member_events() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(event_id), '{}') FROM event_members WHERE user_id = trombi_user_id() $$;
-- The persons that the user is, in events that they belong to.
CREATE FUNCTION trombi_own_persons() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(id), '{}') FROM face_persons
        WHERE linked_user_id = trombi_user_id() AND status = 'linked' AND event_id = ANY (trombi_member_events()) $$;
-- A tag is there only because somebody said so, also when a computer had suggested the face: who is tagged that way sees
-- the photo as everybody does who is tagged in it.
CREATE FUNCTION trombi_own_photos() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT coalesce(array_agg(media.id), '{}') FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = trombi_user_id() AND media.event_id = ANY (trombi_member_events()) $$;
-- Who an organiser meets in the events that they organise: members, who is linked, tagged, or has decided something.
CREATE FUNCTION trombi_fellow_users() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
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
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM face_persons WHERE id = person_id $$;
CREATE FUNCTION trombi_event_of_face(face_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM faces WHERE id = face_id $$;
CREATE FUNCTION trombi_event_of_decision(decision_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM decisions WHERE id = decision_id $$;
CREATE FUNCTION trombi_event_of_media(media_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = trombi, pg_temp
    AS $$ SELECT event_id FROM media WHERE id = media_id $$;

-- ---------------------------------------------------------------- nobody but the owner, to begin with

-- Functions are everybody's when they are created, and default privileges of the database may grant new tables,
-- sequences and functions to anybody (Supabase's did, to anon too): take everything back from everyone. A later migration
-- has to do the same for what it creates; a test looks at every table, sequence and function.
DO $$
DECLARE granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT 'SCHEMA trombi' AS on_what, grantee FROM pg_namespace, aclexplode(nspacl)
        WHERE nspname = 'trombi' AND grantee <> nspowner
        UNION
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, pg_class.oid::regclass), grantee
        FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S') AND grantee <> relowner
        UNION SELECT format('FUNCTION %s', pg_proc.oid::regprocedure), grantee
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pronamespace = 'trombi'::regnamespace AND grantee <> proowner
            -- Where pgvector is in this schema, an administrator may own its functions.
            AND pg_has_role(proowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', granted.on_what,
            CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END
$$;

-- Row level security everywhere, also where no policy lets anybody in.
DO $$
DECLARE name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class
        WHERE relnamespace = 'trombi'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------- users through PostgREST

GRANT USAGE ON SCHEMA trombi TO authenticated;
GRANT EXECUTE ON FUNCTION trombi_user_id(), trombi_is_member(uuid), trombi_is_organiser(uuid), trombi_event_of_media(uuid)
    TO authenticated;

GRANT SELECT (id, email, display_name, created_at) ON users TO authenticated;
GRANT SELECT ON events, event_members, ml_jobs, media_tags, cluster_runs TO authenticated;
-- Neither what recognises a picture again, nor whose a person was.
GRANT SELECT (id, event_id, bucket, object_name, object_generation, deleted_generation, created_at) ON media
    TO authenticated;
GRANT SELECT (
    id, event_id, cluster_label, representative_face_id, cover_chosen_by_human, status, linked_user_id,
    invitation_email, merged_into_id, said_to_be_one, metadata, version, created_at, updated_at
) ON face_persons TO authenticated;
-- Never an embedding or a landmark: those columns are granted to nobody.
GRANT SELECT (
    id, media_id, event_id, face_person_id, placed_by_human, bbox, embedding_model, quality_score,
    sharpness, yaw, pitch, roll, size_px, created_at, updated_at
) ON faces TO authenticated;
CREATE POLICY own_row ON users FOR SELECT TO authenticated USING (id = trombi_user_id());
CREATE POLICY members_see_the_event ON events FOR SELECT TO authenticated USING (trombi_is_member(id));
CREATE POLICY members_see_membership ON event_members FOR SELECT TO authenticated USING (
    user_id = trombi_user_id() OR trombi_is_organiser(event_id)
);
CREATE POLICY members_see_photos ON media FOR SELECT TO authenticated USING (trombi_is_member(event_id));
CREATE POLICY organisers_see_jobs ON ml_jobs FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));
CREATE POLICY organisers_see_persons ON face_persons FOR SELECT TO authenticated USING (
    trombi_is_organiser(event_id) OR (linked_user_id = trombi_user_id() AND trombi_is_member(event_id))
);
CREATE POLICY organisers_see_faces ON faces FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));
CREATE POLICY own_tags_and_organisers ON media_tags FOR SELECT TO authenticated USING (
    (tagged_user_id = trombi_user_id() AND trombi_is_member(trombi_event_of_media(media_id)))
    OR trombi_is_organiser(trombi_event_of_media(media_id))
);
CREATE POLICY organisers_see_runs ON cluster_runs FOR SELECT TO authenticated USING (trombi_is_organiser(event_id));

-- ---------------------------------------------------------------- the host app's server

-- It writes what is the host app's, reads the rest but for biometrics, tokens and the bus, and erases. The export of a
-- user's data holds that user's biometrics where they are asked for (docs/host-app.md).
DO $$
BEGIN
    IF to_regrole('service_role') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA trombi TO service_role;
        GRANT SELECT, INSERT, UPDATE, DELETE ON users, events, event_members, media TO service_role;
        GRANT SELECT ON ml_jobs, event_counters, cluster_runs, face_persons, persons_shown, media_tags,
            face_suggestions,
            merge_suggestions, split_suggestions, face_rejections, decisions, event_consents, purge_receipts,
            metric_pending_jobs, metric_failure_rate, metric_failures_by_reason, metric_processing_time,
            metric_event_coverage, metric_detection_milliseconds, metric_faces_per_photo, metric_noise_ratio,
            metric_callback_latency, metric_outbox, metric_dead_letters, metric_auth_failures TO service_role;
        GRANT SELECT (
            id, media_id, event_id, object_generation, face_person_id, placed_by_human, bbox, embedding_model,
            quality_score, sharpness, yaw, pitch, roll, size_px, thumbnail_object, created_at, updated_at
        ) ON faces TO service_role;
        GRANT SELECT (
            id, event_id, face_person_id, email, message, language, invited_by, expires_at, sent_at, mail_problem,
            answered_at, answer, created_at
        ) ON invitations TO service_role;
        GRANT EXECUTE ON FUNCTION trombi_search_path(), trombi_address(text), trombi_folded_address(text),
            trombi_unicode_label(text), purge_face_data_for_user(uuid, uuid), purge_face_data_for_person(uuid),
            purge_face_data_for_address(text, uuid), trombi_set_consent(uuid, boolean, text), trombi_archive(uuid),
            trombi_export(uuid, uuid, boolean), trombi_user_id() TO service_role;
    END IF;
END
$$;

-- ---------------------------------------------------------------- the reviewer

GRANT USAGE ON SCHEMA trombi TO trombi_reviewer;
GRANT EXECUTE ON FUNCTION
    trombi_search_path(), trombi_user_id(), trombi_event_of_media(uuid), trombi_organised_events(),
    trombi_member_events(), trombi_own_persons(), trombi_own_photos(), trombi_fellow_users(),
    trombi_event_of_person(uuid), trombi_event_of_face(uuid), trombi_event_of_decision(uuid),
    -- What columns, triggers and lists need.
    is_normalised_box(jsonb), trombi_address(text), trombi_folded_address(text), trombi_unicode_label(text),
    trombi_folded(text), trombi_has_words(text, text), trombi_cover_score(real, real, real, real, integer),
    trombi_best_faces(uuid), trombi_best_cover(uuid), invitation_state(uuid),
    -- These run with the owner's rights, and check themselves who may.
    trombi_hold_rows(uuid, uuid[], uuid[], uuid[]), trombi_persons_alike(uuid, uuid[]),
    purge_face_data_for_user(uuid, uuid), purge_face_data_for_person(uuid), purge_face_data_for_address(text, uuid),
    trombi_set_consent(uuid, boolean, text), trombi_archive(uuid), trombi_note_reads(text, uuid, text, uuid[]),
    trombi_export(uuid, uuid, boolean)
TO trombi_reviewer;

-- ---------------------------------------------------------------- the host app's data

GRANT SELECT (id, email, display_name, created_at) ON users TO trombi_reviewer;
GRANT SELECT (
    id, name, creator_id, created_at, language, face_recognition_enabled, consent_text_version, consented_at, archived_at
) ON events TO trombi_reviewer;
GRANT SELECT (id, event_id, created_at, bucket, object_name, object_generation, deleted_generation) ON media
    TO trombi_reviewer;
-- To lock an event's or a photo's row; the policies refuse every change.
GRANT UPDATE (id) ON events, media TO trombi_reviewer;
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

GRANT SELECT ON persons_shown TO trombi_reviewer;
GRANT SELECT, DELETE ON face_persons TO trombi_reviewer;
GRANT INSERT (id, event_id, status, metadata, representative_face_id, cover_chosen_by_human) ON face_persons
    TO trombi_reviewer;
GRANT UPDATE (
    representative_face_id, linked_user_id, status, invitation_email, merged_into_id, metadata, cover_chosen_by_human,
    said_to_be_one, former_user_hash, version, updated_at
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

GRANT SELECT ON split_suggestions TO trombi_reviewer;
CREATE POLICY organisers_see_splits ON split_suggestions FOR SELECT TO trombi_reviewer USING (
    EXISTS (
        SELECT FROM face_persons WHERE id = face_person_id AND event_id = ANY ((SELECT trombi_organised_events())::uuid[])
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
    sent_at, mail_problem
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

-- Consent is changed, faces are purged and reads are noted by functions with the owner's rights (0005), which check
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
