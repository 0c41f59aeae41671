-- migrate:up
-- What the lists of persons and members are read by.

-- Words as people look for them: small letters without accents, one space between two. Without the extension
-- unaccent, which not every host has; needs a database in UTF8.
CREATE FUNCTION trombi_folded(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim(regexp_replace(
        replace(replace(replace(translate(
            lower(regexp_replace(normalize(words, NFKD), '[\u0300-\u036f]', '', 'g')),
            'øłđð', 'oldd'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
        '[[:space:]''’.,_-]+', ' ', 'g'
    ));

-- Whether each word of what is asked for begins a word of the name.
CREATE FUNCTION trombi_has_words(name text, asked text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN NOT EXISTS (
        SELECT FROM regexp_split_to_table(trombi_folded(asked), ' ') AS word
        WHERE position(' ' || word IN ' ' || coalesce(trombi_folded(name), '')) = 0
    );

-- A run gives thousands of faces a person at once. Any other index on that column would have each of them inserted
-- into the vector index again (10 ms a face); a BRIN index, from Postgres 16 on, and room on the page let the row
-- change in place (docs/decisions/0003).
DROP INDEX faces_person_idx;
CREATE INDEX faces_person_idx ON faces USING brin (face_person_id uuid_bloom_ops)
    WITH (pages_per_range = 8, autosummarize = on);
ALTER TABLE faces SET (fillfactor = 45);

-- As before, but that it joins once instead of looking up each photo; and a photo that was uploaded anew is not
-- covered by the job of what was there before.
CREATE OR REPLACE VIEW metric_event_coverage AS
SELECT events.id AS event_id,
    count(media.id) AS photos,
    count(job.id) AS processed,
    CASE WHEN count(media.id) = 0 THEN 1 ELSE count(job.id)::float8 / count(media.id) END AS coverage
FROM events
LEFT JOIN media ON media.event_id = events.id AND media.deleted_generation < coalesce(media.object_generation, 1)
LEFT JOIN ml_jobs AS job ON job.job_type = 'detect' AND job.event_id IS NOT NULL AND job.status = 'completed'
    AND job.media_ids[1] = media.id AND job.object_generation = coalesce(media.object_generation, 0)
GROUP BY events.id;

-- migrate:down
