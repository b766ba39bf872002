-- Gyms and athletes change: a gym is described and closed, an athlete is removed or leaves, a contact is several people's. And a
-- roster of 50,000 is searched, and filtered by the state of the invitations, from an index.

-- What a gym says of itself.

ALTER TABLE business
    ADD COLUMN locale    text        NOT NULL DEFAULT 'en',
    ADD COLUMN country   text        CONSTRAINT business_country CHECK (country ~ '^[A-Z]{2}$'),
    ADD COLUMN time_zone text        NOT NULL DEFAULT 'UTC',
    ADD COLUMN closed_at timestamptz;
COMMENT ON COLUMN business.locale IS 'The language of the gym, a BCP 47 tag: of an athlete who is registered without one.';
COMMENT ON COLUMN business.country IS 'Where the gym is, ISO 3166-1 alpha-2: numbers in the national form are of this country.';
COMMENT ON COLUMN business.time_zone IS 'The gym''s time zone, by its IANA name: an invitation ends with a day there.';
COMMENT ON COLUMN business.closed_at IS 'When the gym was closed; null while it is open.';

CREATE OR REPLACE FUNCTION gym_of(its_subject text, its_id uuid) RETURNS TABLE (id uuid, name text, owner_id uuid) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT business.id, business.name, business.user_id
    FROM identity JOIN business ON business.user_id = identity.user_id
    WHERE identity.subject = its_subject AND business.id = its_id AND business.closed_at IS NULL
$$;
COMMENT ON FUNCTION gym_of IS 'The open gym, if the person with this subject may act for it: the one place where that is decided.';

-- "Good until 25 December" is true on 25 December.
CREATE FUNCTION end_of_day(days integer, time_zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT ((statement_timestamp() AT TIME ZONE time_zone)::date + days + 1)::timestamp AT TIME ZONE time_zone
$$;
COMMENT ON FUNCTION end_of_day IS 'The end, in this time zone, of the day that comes so many days after today.';

CREATE FUNCTION last_day(expires_at timestamptz, time_zone text) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT ((expires_at - interval '1 second') AT TIME ZONE time_zone)::date
$$;
COMMENT ON FUNCTION last_day IS 'The last day, in this time zone, on which what ends then is good.';

-- What ends an athlete's time in a gym, and who shares a contact. The functions that indexes and columns are made of have their
-- statements bound when they are created: they mean the same whatever the search path is, as in a restore.

CREATE FUNCTION folded(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Accents are marks of their own once a letter is taken apart. lower() knows only the letters of the database's locale, and
    -- that may be none but ASCII's.
    SELECT replace(replace(replace(
               translate(lower(regexp_replace(normalize(given, NFKD), '[\u0300-\u036f]', '', 'g') COLLATE "C"),
                         'АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯІЄҐЂЈЉЊЋЏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩςŁłØøĐđĦħıŊÞÆŒẞ',
                         'абвгдежзиклмнопрстуфхцчшщъыьэюяієґђјљњћџαβγδεζηθικλμνξοπρστυφχψωσllooddhhiŋþæœß'),
               'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe');
END;
COMMENT ON FUNCTION folded IS 'A text with its case and its accents aside.';

CREATE FUNCTION name_key(full_name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT btrim(regexp_replace(folded(full_name), '\s+', ' ', 'g'));
END;
COMMENT ON FUNCTION name_key IS 'A name with its case, its accents and its spaces aside: of two athletes with one contact it tells whether they are one person.';

ALTER TABLE athlete
    ADD COLUMN removed_at     timestamptz,
    ADD COLUMN removed_by     text    CONSTRAINT athlete_removed_by CHECK (removed_by IN ('gym', 'athlete')),
    ADD COLUMN shares_contact boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT athlete_removal_whole CHECK (num_nulls(removed_at, removed_by) IN (0, 2)),
    DROP CONSTRAINT athlete_email_key;
COMMENT ON COLUMN athlete.removed_at IS 'When the athlete''s time in the gym ended: their code is dead, and they are on no roster; null until then.';
COMMENT ON COLUMN athlete.removed_by IS 'Who ended it: the gym, or the athlete, who left.';
COMMENT ON COLUMN athlete.shares_contact IS 'Whether the contact is another athlete''s too, who had it before: this one is linked by the code alone.';
COMMENT ON COLUMN athlete.user_id IS 'The account this athlete is linked to; null until linked. At most one athlete on the roster per gym and account (athlete_member_key).';
COMMENT ON COLUMN athlete.email IS 'Where the gym''s invitation goes, in lower case; on a roster once (athlete_email_key), but for those who share it.';
COMMENT ON COLUMN athlete.phone IS 'E.164; where the invitation goes when there is no email, and then once on a roster (athlete_phone_key), but for those who share it.';

DROP INDEX athlete_phone_key, athlete_member_key, athlete_roster, athlete_by_open_email;
CREATE UNIQUE INDEX athlete_email_key ON athlete (invited_by, email) WHERE removed_at IS NULL AND NOT shares_contact;
CREATE UNIQUE INDEX athlete_phone_key ON athlete (invited_by, phone) WHERE email IS NULL AND removed_at IS NULL AND NOT shares_contact;
CREATE UNIQUE INDEX athlete_person_key ON athlete (invited_by, coalesce(email, phone), name_key(full_name)) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX athlete_member_key ON athlete (invited_by, user_id) WHERE user_id IS NOT NULL AND removed_at IS NULL;
CREATE INDEX athlete_by_phone ON athlete (invited_by, phone) WHERE phone IS NOT NULL AND removed_at IS NULL;
CREATE INDEX athlete_by_open_email ON athlete (email) WHERE user_id IS NULL AND removed_at IS NULL;
CREATE INDEX athlete_roster ON athlete (invited_by, created_at DESC, id DESC) WHERE removed_at IS NULL;
CREATE INDEX athlete_by_gym ON athlete (invited_by) WHERE removed_at IS NOT NULL;
COMMENT ON INDEX athlete_person_key IS 'One person is on a roster once: a contact with a name.';

-- The search. A word has the gym in it, so that one index answers for each gym by itself.

CREATE FUNCTION words_of(given text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT word
    FROM regexp_split_to_table(folded(given), '[\s!-/:-@\[-`{-~\u2010-\u2019\u201c\u201d]+') AS word
    WHERE word <> '';
END;
COMMENT ON FUNCTION words_of IS 'The words of a text, folded: what stands between spaces and punctuation.';

CREATE FUNCTION athlete_search(gym uuid, full_name text, email text, phone text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_to_tsvector(array_agg(DISTINCT gym::text || ':' || word))
    FROM (
        SELECT words_of(full_name)
        UNION ALL SELECT words_of(email)
        UNION ALL SELECT email
        -- A number is looked for with the country's code and without it: that has one to three digits.
        UNION ALL SELECT substr(phone, start) FROM generate_series(2, 5) AS start
    ) AS found (word)
    WHERE word <> '';
END;
COMMENT ON FUNCTION athlete_search IS 'What an athlete is found by: the words of the name and of the address, the address, and the number, each with the gym before it.';

CREATE FUNCTION roster_query(gym uuid, given text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(every, ' | ')::tsquery
    FROM (
        SELECT string_agg('''' || replace(replace(gym::text || ':' || word, '\', '\\'), '''', '''''') || ''':*', ' & ')
        FROM regexp_split_to_table(given, '\s+') AS term,
             LATERAL (
                 SELECT folded(term) WHERE term LIKE '%@%'
                 UNION ALL
                 SELECT words_of(term) WHERE term NOT LIKE '%@%'
             ) AS asked (word)
        WHERE word <> ''
        UNION ALL
        SELECT '''' || gym::text || ':' || digits || ''':*'
        FROM ltrim(regexp_replace(given, '[^0-9]', '', 'g'), '0') AS digits
        WHERE given ~ '^[\s0-9+()./-]+$' AND digits <> ''
    ) AS ways (every);
END;
COMMENT ON FUNCTION roster_query IS 'The query for what is typed: each word begins a word of the athlete''s, or all digits begin the number. Null where nothing is asked for.';

ALTER TABLE athlete
    ADD COLUMN search tsvector GENERATED ALWAYS AS (athlete_search(invited_by, full_name, email, phone)) STORED;
COMMENT ON COLUMN athlete.search IS 'What the athlete is found by: see athlete_search.';
CREATE INDEX athlete_by_word ON athlete USING gin (search) WHERE removed_at IS NULL;

-- The filter. The last invitation of each athlete on a roster is in an index by gym and status, in the roster's order. What the
-- order goes by never changes, and so is copied.

ALTER TABLE invitation
    ADD COLUMN business_id   uuid,
    ADD COLUMN registered_at timestamptz,
    ADD COLUMN is_current    boolean NOT NULL DEFAULT true;
UPDATE invitation
SET business_id = athlete.invited_by,
    registered_at = athlete.created_at,
    is_current = NOT EXISTS (
        SELECT FROM invitation AS later
        WHERE later.athlete_id = invitation.athlete_id AND (later.created_at, later.id) > (invitation.created_at, invitation.id)
    )
FROM athlete WHERE athlete.id = invitation.athlete_id;
ALTER TABLE invitation
    ALTER COLUMN business_id SET NOT NULL,
    ALTER COLUMN registered_at SET NOT NULL;
CREATE INDEX invitation_roster ON invitation (business_id, status, registered_at DESC, athlete_id DESC) INCLUDE (expires_at) WHERE is_current;
COMMENT ON COLUMN invitation.business_id IS 'The athlete''s gym, for invitation_roster; written by put_on_roster.';
COMMENT ON COLUMN invitation.registered_at IS 'When the athlete was registered, for invitation_roster; written by put_on_roster.';
COMMENT ON COLUMN invitation.is_current IS 'Whether the roster shows it: it is the last one of an athlete who is on it; kept by take_earlier_off_roster and remove_athlete.';

CREATE FUNCTION put_on_roster() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT invited_by, created_at INTO NEW.business_id, NEW.registered_at FROM athlete WHERE id = NEW.athlete_id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION put_on_roster IS 'Gives a new invitation its place in invitation_roster.';
CREATE TRIGGER put_on_roster BEFORE INSERT ON invitation FOR EACH ROW EXECUTE FUNCTION put_on_roster();

-- Once it is there: an insert that meets a conflict changes nothing.
CREATE FUNCTION take_earlier_off_roster() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE invitation SET is_current = false
    WHERE athlete_id = NEW.athlete_id AND is_current AND (created_at, id) < (NEW.created_at, NEW.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION take_earlier_off_roster IS 'Makes a new invitation the one that the roster shows.';
CREATE TRIGGER take_earlier_off_roster AFTER INSERT ON invitation FOR EACH ROW EXECUTE FUNCTION take_earlier_off_roster();

-- What a gym's owner sees.

CREATE FUNCTION status_now(status text, expires_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN status NOT IN ('accepted', 'revoked') AND expires_at <= now() THEN 'expired' ELSE status END
$$;
COMMENT ON FUNCTION status_now IS 'The status of an invitation as it stands at this moment: one whose time is over has expired, whatever was written.';

CREATE VIEW known_athlete AS
SELECT athlete.id,
       athlete.invited_by AS business_id,
       athlete.email,
       athlete.phone,
       athlete.full_name,
       athlete.locale,
       athlete.athlete_code,
       athlete.linked_at,
       athlete.created_at,
       last.id AS invitation_id,
       last.status AS invitation_status,
       last.channel AS invitation_channel,
       last.sent_at AS invitation_sent_at,
       last.expires_at AS invitation_expires_at,
       last.last_error AS invitation_last_error,
       last_day(last.expires_at, business.time_zone) AS invitation_last_day,
       athlete.removed_at,
       athlete.removed_by,
       -- Not EXISTS: for that, all who share a contact anywhere may be read first.
       athlete.shares_contact OR (
           SELECT true FROM athlete AS other
           WHERE other.invited_by = athlete.invited_by AND other.removed_at IS NULL AND other.shares_contact
             AND coalesce(other.email, other.phone) = coalesce(athlete.email, athlete.phone)
           LIMIT 1
       ) IS NOT NULL AS contact_is_shared
FROM athlete
JOIN business ON business.id = athlete.invited_by
LEFT JOIN LATERAL (
    SELECT id, status_now(status, expires_at) AS status, channel, sent_at, expires_at, last_error
    FROM invitation
    WHERE athlete_id = athlete.id
    ORDER BY created_at DESC, id DESC
    LIMIT 1
) AS last ON true;
COMMENT ON VIEW known_athlete IS 'What a gym''s owner sees of an athlete, on the roster or not any more: the athlete and the last invitation, as it stands now.';

CREATE OR REPLACE VIEW roster AS
SELECT id, business_id, email, phone, full_name, locale, athlete_code, linked_at, created_at, invitation_id, invitation_status,
       invitation_channel, invitation_sent_at, invitation_expires_at, invitation_last_error, invitation_last_day, removed_at,
       removed_by, contact_is_shared
FROM known_athlete
WHERE removed_at IS NULL;
COMMENT ON VIEW roster IS 'What a gym''s owner sees of the athletes who are on the roster.';

-- What ends an athlete's time in a gym. Whoever asks has locked the athlete, and found that it is theirs to end.
CREATE FUNCTION remove_athlete(its_id uuid, by_whom text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    UPDATE athlete SET removed_at = statement_timestamp(), removed_by = by_whom WHERE id = its_id AND removed_at IS NULL;

    UPDATE workout_athlete SET selected = false WHERE athlete_id = its_id AND selected;

    WITH ended AS (
        UPDATE invitation
        SET is_current = false,
            status = CASE WHEN has_ended(status) THEN status WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
        WHERE athlete_id = its_id AND is_current
        RETURNING status
    )
    SELECT count(*) FROM ended WHERE status = 'revoked';
$$;
COMMENT ON FUNCTION remove_athlete IS 'Takes an athlete off the roster: the code is dead, what waits to be sent is not sent, and no workout is followed any more. It gives the number of invitations that were taken back.';
