-- migrate:up
-- What became of the mails, and what has become of an invitation meanwhile.
ALTER TABLE invitations
    -- Why no mail reached the address, for the organiser to be told; null while there is hope.
    ADD COLUMN mail_problem text CHECK (mail_problem IN ('refused', 'not_configured', 'given_up'));

-- When the event's creator was written to about this run: once, however often the notification is delivered.
ALTER TABLE cluster_runs ADD COLUMN told_at timestamptz;

-- 'open' as long as an answer counts: the person still waits for this address, nobody was asked anew, and the event
-- still consents. Else 'accepted', 'declined', 'withdrawn' or 'expired'; null where there is no such invitation.
CREATE FUNCTION invitation_state(invitation uuid) RETURNS text
    LANGUAGE sql STABLE SET search_path = public, pg_temp
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

DO $$
DECLARE api_role text;
BEGIN
    REVOKE ALL ON FUNCTION invitation_state(uuid) FROM PUBLIC;
    FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION invitation_state(uuid) FROM %I', api_role);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION invitation_state(uuid) TO trombi_reviewer;
GRANT SELECT (mail_problem) ON invitations TO trombi_reviewer;

-- migrate:down
