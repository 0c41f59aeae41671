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
-- Name: is_normalised_box(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_normalised_box(box jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((jsonb_typeof((box -> 'x'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'y'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'w'::text)) = 'number'::text) AND (jsonb_typeof((box -> 'h'::text)) = 'number'::text) AND (((box ->> 'x'::text))::double precision >= (0)::double precision) AND (((box ->> 'y'::text))::double precision >= (0)::double precision) AND (((box ->> 'w'::text))::double precision > (0)::double precision) AND (((box ->> 'h'::text))::double precision > (0)::double precision) AND ((((box ->> 'x'::text))::double precision + ((box ->> 'w'::text))::double precision) <= (1.000001)::double precision) AND ((((box ->> 'y'::text))::double precision + ((box ->> 'h'::text))::double precision) <= (1.000001)::double precision)), false);


--
-- Name: trombi_event_of_media(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_event_of_media(media_id uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ SELECT event_id FROM media WHERE id = media_id $$;


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
-- Name: trombi_user_id(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.trombi_user_id() RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (((NULLIF(current_setting('request.jwt.claims'::text, true), ''::text))::jsonb ->> 'sub'::text))::uuid;


SET default_tablespace = '';

SET default_table_access_method = heap;

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
    inverse jsonb NOT NULL,
    undone_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT decisions_kind_check CHECK ((kind = ANY (ARRAY['link'::text, 'unlink'::text, 'invite'::text, 'merge'::text, 'split'::text, 'move'::text, 'reject'::text, 'ignore'::text, 'restore'::text, 'cover'::text, 'undo'::text])))
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
    CONSTRAINT face_persons_merged_names_its_survivor CHECK ((((status = 'merged'::text) = (merged_into_id IS NOT NULL)) AND (merged_into_id <> id))),
    CONSTRAINT face_persons_only_invited_has_an_address CHECK (((invitation_email IS NULL) OR (status = 'invited'::text))),
    CONSTRAINT face_persons_only_linked_has_a_user CHECK (((linked_user_id IS NULL) OR (status = ANY (ARRAY['linked'::text, 'merged'::text])))),
    CONSTRAINT face_persons_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'linked'::text, 'invited'::text, 'ignored'::text, 'merged'::text])))
);


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
    CONSTRAINT face_tombstones_bbox_check CHECK (public.is_normalised_box(bbox))
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
);


--
-- Name: invitations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.invitations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    face_person_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    email text NOT NULL,
    invited_by uuid,
    expires_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone,
    answer text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT invitations_answer_check CHECK ((answer = ANY (ARRAY['accepted'::text, 'declined'::text]))),
    CONSTRAINT invitations_check CHECK (((answered_at IS NULL) = (answer IS NULL))),
    CONSTRAINT invitations_check1 CHECK ((expires_at > created_at)),
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
    deleted_generation bigint DEFAULT 0 NOT NULL
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
    count(media.id) FILTER (WHERE done.yes) AS processed,
        CASE
            WHEN (count(media.id) = 0) THEN (1)::double precision
            ELSE ((count(media.id) FILTER (WHERE done.yes))::double precision / (count(media.id))::double precision)
        END AS coverage
   FROM ((public.events
     LEFT JOIN public.media ON (((media.event_id = events.id) AND (media.deleted_generation < COALESCE(media.object_generation, (1)::bigint)))))
     LEFT JOIN LATERAL ( SELECT true AS yes
           FROM public.ml_jobs
          WHERE ((ml_jobs.job_type = 'detect'::text) AND (ml_jobs.media_ids @> ARRAY[media.id]) AND (ml_jobs.status = 'completed'::text))
         LIMIT 1) done ON (true))
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
    CONSTRAINT outbox_delete_is_whole CHECK (((kind <> 'delete_objects'::text) OR ((bucket <> ''::text) AND (object_prefix <> ''::text)))),
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
-- Name: purge_receipts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.purge_receipts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    erased jsonb NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone
);


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email text,
    display_name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.users IS 'made by Trombi';


--
-- Name: auth_failures auth_failures_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_failures
    ADD CONSTRAINT auth_failures_pkey PRIMARY KEY (day, reason);


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
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


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
-- Name: event_counters_changed_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX event_counters_changed_idx ON public.event_counters USING btree (first_change_at) WHERE (changed_photos > 0);


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

CREATE INDEX faces_person_idx ON public.faces USING btree (face_person_id) WHERE (face_person_id IS NOT NULL);


--
-- Name: faces_thumbnail_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX faces_thumbnail_idx ON public.faces USING btree (thumbnail_object) WHERE (thumbnail_object IS NOT NULL);


--
-- Name: invitations_event_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX invitations_event_idx ON public.invitations USING btree (event_id);


--
-- Name: invitations_person_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX invitations_person_idx ON public.invitations USING btree (face_person_id);


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
-- Name: ml_jobs_media_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ml_jobs_media_idx ON public.ml_jobs USING gin (media_ids);


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
-- Name: outbox_deletions_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_deletions_idx ON public.outbox USING btree (bucket, object_prefix) WHERE (kind = 'delete_objects'::text);


--
-- Name: users_email_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX users_email_idx ON public.users USING btree (lower(email));


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
-- Name: face_tombstones face_tombstones_media_id_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.face_tombstones
    ADD CONSTRAINT face_tombstones_media_id_event_id_fkey FOREIGN KEY (media_id, event_id) REFERENCES public.media(id, event_id) ON DELETE CASCADE;


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
    ADD CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model) REFERENCES public.event_counters(event_id, embedding_model);


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
-- Name: auth_failures; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.auth_failures ENABLE ROW LEVEL SECURITY;

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
-- Name: faces organisers_see_faces; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_faces ON public.faces FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: ml_jobs organisers_see_jobs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_jobs ON public.ml_jobs FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: face_persons organisers_see_persons; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_persons ON public.face_persons FOR SELECT TO authenticated USING ((public.trombi_is_organiser(event_id) OR ((linked_user_id = public.trombi_user_id()) AND public.trombi_is_member(event_id))));


--
-- Name: cluster_runs organisers_see_runs; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY organisers_see_runs ON public.cluster_runs FOR SELECT TO authenticated USING (public.trombi_is_organiser(event_id));


--
-- Name: outbox; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;

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
    ('0006');
