-- migrate:up
-- Small letters do not tell which sigma a capital one was: a Greek local part in capitals and in small letters was two
-- addresses. The local part now has the sigma that its place in the word asks for.

CREATE OR REPLACE FUNCTION trombi_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
    folded text := trombi_folded_address(address);
    parts text[] := regexp_match(folded, '^(.*)@([^@]*)$');
    domain text := regexp_replace(parts[2], '\.$', '');
BEGIN
    IF parts IS NULL THEN
        RETURN folded;
    END IF;
    IF position('xn--' IN domain) > 0 THEN
        domain := (SELECT string_agg(trombi_unicode_label(label), '.' ORDER BY number)
            FROM string_to_table(domain, '.') WITH ORDINALITY AS listed (label, number));
    END IF;
    RETURN regexp_replace(translate(parts[1], 'ς', 'σ'),
        '(?<=[\u0370-\u03ff\u1f00-\u1fff])σ(?![\u0370-\u03ff\u1f00-\u1fff])', 'ς', 'g') || '@' || domain;
END
$$;

-- What was stored, or computed for the index, in the form before.
REINDEX INDEX users_address_idx;
UPDATE invitations SET email = email WHERE email <> trombi_address(email);
UPDATE face_persons SET invitation_email = invitation_email WHERE invitation_email <> trombi_address(invitation_email);

-- migrate:down
