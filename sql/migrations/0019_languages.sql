-- migrate:up

-- Which languages there are is said by the folders of shared/languages: the database holds a tag, as fr or pt-BR.
ALTER TABLE events
    DROP CONSTRAINT IF EXISTS events_language_check,
    ADD CONSTRAINT events_language_check CHECK (language ~ '^[a-z]{2}(-[A-Z]{2})?$');
ALTER TABLE invitations
    DROP CONSTRAINT IF EXISTS invitations_language_check,
    ADD CONSTRAINT invitations_language_check CHECK (language ~ '^[a-z]{2}(-[A-Z]{2})?$');

-- migrate:down
