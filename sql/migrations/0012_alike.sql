-- migrate:up
-- A tag is there only because somebody said so, also when a computer had suggested the face: who is tagged that way sees
-- the photo as everybody does who is tagged in it.
CREATE OR REPLACE FUNCTION trombi_own_photos() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT coalesce(array_agg(media.id), '{}') FROM media_tags JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = trombi_user_id() AND media.event_id = ANY (trombi_member_events()) $$;

-- The other persons of a person's event, the most alike first: for an organiser, who may read no embedding, an order of
-- ids and nothing else. Asked are the best faces of those in the list (null: of all that the person has); each looks for
-- the nearest among the best faces of the other, and what they find is averaged: one odd face decides nothing, and who
-- was photographed over years is found by the faces that fit. A body that is resolved here, so that it finds the
-- operator wherever the extension is.
CREATE OR REPLACE FUNCTION trombi_persons_alike(of_person uuid, face_list uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT trombi_require_self_or_organiser((SELECT event_id FROM face_persons WHERE id = of_person), NULL);
    WITH asked AS MATERIALIZED (
        SELECT id, embedding FROM faces
        WHERE face_person_id = of_person AND embedding IS NOT NULL AND (face_list IS NULL OR id = ANY (face_list))
        ORDER BY quality_score DESC, id LIMIT 3
    ), placed AS (
        SELECT face_person_id, embedding,
            row_number() OVER (PARTITION BY face_person_id ORDER BY quality_score DESC, id) AS place
        FROM faces
        WHERE event_id = (SELECT event_id FROM face_persons WHERE id = of_person)
            AND face_person_id IS NOT NULL AND face_person_id <> of_person AND embedding IS NOT NULL
    ), nearest AS (
        SELECT placed.face_person_id, min(asked.embedding <=> placed.embedding) AS distance
        FROM placed CROSS JOIN asked WHERE placed.place <= 10
        GROUP BY placed.face_person_id, asked.id
    )
    SELECT face_person_id FROM nearest GROUP BY face_person_id ORDER BY avg(distance), face_person_id;
END;

DO $$
DECLARE of_role text;
BEGIN
    REVOKE ALL ON FUNCTION trombi_persons_alike(uuid, uuid[]) FROM PUBLIC;
    FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION trombi_persons_alike(uuid, uuid[]) FROM %I', of_role);
    END LOOP;
    GRANT EXECUTE ON FUNCTION trombi_persons_alike(uuid, uuid[]) TO trombi_reviewer;
END
$$;

-- migrate:down
