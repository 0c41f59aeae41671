-- migrate:up
-- For a host app whose users reach these tables through PostgREST (Supabase): they see their own events only.
-- The functions connect as the tables' owner, whom these policies do not bind.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        CREATE ROLE authenticated NOLOGIN;
    END IF;
END
$$;

-- The user of the request, as PostgREST hands over the verified token's claims; null outside a request.
CREATE FUNCTION trombi_user_id() RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;

-- Security definer, so that a policy may ask about membership without being bound by event_members' own policy.
CREATE FUNCTION trombi_is_member(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT EXISTS (
        SELECT FROM event_members WHERE event_id = event AND user_id = trombi_user_id()
    ) $$;
CREATE FUNCTION trombi_is_organiser(event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT EXISTS (
        SELECT FROM event_members
        WHERE event_id = event AND user_id = trombi_user_id() AND role IN ('owner', 'organizer')
    ) $$;
CREATE FUNCTION trombi_event_of_media(media_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT event_id FROM media WHERE id = media_id $$;

ALTER TABLE ml_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE face_persons ENABLE ROW LEVEL SECURITY;
ALTER TABLE faces ENABLE ROW LEVEL SECURITY;
ALTER TABLE media_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE face_tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE cluster_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE decisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE face_rejections ENABLE ROW LEVEL SECURITY;
ALTER TABLE face_suggestions ENABLE ROW LEVEL SECURITY;
ALTER TABLE merge_suggestions ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE purge_receipts ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth_failures ENABLE ROW LEVEL SECURITY;

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

-- The host tables only where they are Trombi's own: a host app has its own rules for its tables.
DO $$
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        ALTER TABLE users ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own_row ON users FOR SELECT TO authenticated USING (id = trombi_user_id());
        GRANT SELECT (id, email, display_name, created_at) ON users TO authenticated;
    END IF;
    IF obj_description('events'::regclass) = 'made by Trombi' THEN
        ALTER TABLE events ENABLE ROW LEVEL SECURITY;
        CREATE POLICY members_see_the_event ON events FOR SELECT TO authenticated USING (trombi_is_member(id));
        GRANT SELECT ON events TO authenticated;
    END IF;
    IF obj_description('event_members'::regclass) = 'made by Trombi' THEN
        ALTER TABLE event_members ENABLE ROW LEVEL SECURITY;
        CREATE POLICY members_see_membership ON event_members FOR SELECT TO authenticated USING (
            user_id = trombi_user_id() OR trombi_is_organiser(event_id)
        );
        GRANT SELECT ON event_members TO authenticated;
    END IF;
    IF obj_description('media'::regclass) = 'made by Trombi' THEN
        ALTER TABLE media ENABLE ROW LEVEL SECURITY;
        CREATE POLICY members_see_photos ON media FOR SELECT TO authenticated USING (trombi_is_member(event_id));
        GRANT SELECT ON media TO authenticated;
    END IF;
END
$$;

-- Some hosts grant everything on new tables and views to their API roles: take that back first.
DO $$
DECLARE api_role text;
BEGIN
    FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format(
            'REVOKE ALL ON ml_jobs, event_counters, face_persons, faces, media_tags, face_tombstones, outbox,'
            ' dead_letters, cluster_runs, decisions, face_rejections, face_suggestions, merge_suggestions,'
            ' invitations, purge_receipts, auth_failures, metric_pending_jobs, metric_failure_rate,'
            ' metric_failures_by_reason, metric_processing_time, metric_event_coverage,'
            ' metric_detection_milliseconds, metric_faces_per_photo, metric_noise_ratio, metric_callback_latency,'
            ' metric_outbox, metric_dead_letters, metric_auth_failures FROM %I', api_role
        );
    END LOOP;
END
$$;

-- Reads only, and never an embedding or a landmark: those columns are granted to nobody.
GRANT SELECT ON ml_jobs, face_persons, media_tags, cluster_runs TO authenticated;
GRANT SELECT (
    id, media_id, event_id, face_person_id, placed_by_human, bbox, embedding_model, quality_score,
    sharpness, yaw, pitch, roll, size_px, created_at, updated_at
) ON faces TO authenticated;

-- migrate:down
