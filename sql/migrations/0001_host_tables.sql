-- migrate:up
-- The host app's tables, made here when there is no host app. Where a host app owns them already, only the
-- columns that Trombi needs are added; its own columns, rights and policies stay as they are.
CREATE EXTENSION IF NOT EXISTS vector;

-- The comment tells later migrations which of these tables are Trombi's to protect.
DO $$
BEGIN
    IF to_regclass('users') IS NULL THEN
        CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
        COMMENT ON TABLE users IS 'made by Trombi';
    END IF;
    IF to_regclass('events') IS NULL THEN
        CREATE TABLE events (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name text NOT NULL,
            creator_id uuid REFERENCES users (id) ON DELETE SET NULL
        );
        COMMENT ON TABLE events IS 'made by Trombi';
    END IF;
    IF to_regclass('event_members') IS NULL THEN
        CREATE TABLE event_members (
            event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
            user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'organizer', 'member')),
            PRIMARY KEY (event_id, user_id)
        );
        COMMENT ON TABLE event_members IS 'made by Trombi';
    END IF;
    IF to_regclass('media') IS NULL THEN
        CREATE TABLE media (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE
        );
        COMMENT ON TABLE media IS 'made by Trombi';
    END IF;
END
$$;

ALTER TABLE users
    ADD COLUMN IF NOT EXISTS email text,
    ADD COLUMN IF NOT EXISTS display_name text,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX IF NOT EXISTS users_email_idx ON users (lower(email));

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS language text NOT NULL DEFAULT 'fr' CHECK (language IN ('fr', 'en')),
    ADD COLUMN IF NOT EXISTS face_recognition_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS consent_text_version text,
    ADD COLUMN IF NOT EXISTS consented_at timestamptz,
    ADD COLUMN IF NOT EXISTS archived_at timestamptz;
-- Nothing runs without consent, and consent without the text that was shown is none.
ALTER TABLE events ADD CONSTRAINT events_consent_is_recorded CHECK (
    NOT face_recognition_enabled OR (consent_text_version IS NOT NULL AND consented_at IS NOT NULL)
) NOT VALID;

CREATE INDEX IF NOT EXISTS event_members_user_idx ON event_members (user_id);

ALTER TABLE media
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS bucket text,
    ADD COLUMN IF NOT EXISTS object_name text,
    -- Generation of the object whose faces are (or are about to be) held; null until it is known.
    ADD COLUMN IF NOT EXISTS object_generation bigint,
    -- Newest generation known to be deleted: a late or repeated upload message at or below it changes nothing.
    ADD COLUMN IF NOT EXISTS deleted_generation bigint NOT NULL DEFAULT 0;
-- What the foreign keys of faces and tags refer to, so that a row can never point into another event.
ALTER TABLE media ADD CONSTRAINT media_id_event_key UNIQUE (id, event_id);
CREATE INDEX IF NOT EXISTS media_event_idx ON media (event_id);

-- migrate:down
