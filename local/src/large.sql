-- 200 gyms after a year and a half: 100,000 athletes, half of them signed up, their 150,000 invitations, 500,000 assignments of
-- workouts, and a waitlist.
--
-- The same rows every time, but for their times, which are relative to now. Everything is numbered, so that one finds one's way:
-- owner-7@large.example owns gym 7, whose athletes are those from 3001 to 3500; the even ones have signed up. A quarter of them
-- train at a second gym too, 160 gyms further on, and as many of the others are invited there, under the same address.

BEGIN;

-- An id that tells what it is of: a letter for the table, and the number.
CREATE FUNCTION pg_temp.numbered(letter text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('01960000-000' || letter || '-7000-8000-' || lpad(n::text, 12, '0'))::uuid
$$;

-- The id under which the local identity provider signs in whoever has this address.
CREATE FUNCTION pg_temp.user_id(email text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(set_byte(set_byte(hash, 6, get_byte(hash, 6) & 15 | 128), 8, get_byte(hash, 8) & 63 | 128), 'hex')::uuid
    FROM substr(sha256(convert_to(email, 'UTF8')), 1, 16) AS hash
$$;

-- The code that 45 bits make, check and all, as `shared::types::AthleteCode` does.
CREATE FUNCTION pg_temp.athlete_code(entropy bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    code text := '';
    sum integer := 0;
    value integer;
BEGIN
    FOR place IN 0..8 LOOP
        value := (entropy >> (5 * place)) & 31;
        code := code || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', value + 1, 1);
        sum := sum # value;
        sum := ((sum << 1) & 31) # (5 * (sum >> 4)); -- times α
    END LOOP;
    RETURN code || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', sum + 1, 1);
END $$;

INSERT INTO "user" (id, email, full_name, created_at)
SELECT pg_temp.user_id(email), email, 'Owner ' || gym, now() - interval '550 days'
FROM generate_series(1, 200) AS gym, concat('owner-', gym, '@large.example') AS email
UNION ALL
SELECT pg_temp.user_id(email), email, 'Athlete ' || person, now() - interval '30 days'
FROM generate_series(1, 40000) AS person, concat('athlete-', person, '@large.example') AS email;
INSERT INTO identity (subject, user_id, created_at) SELECT id::text, id, created_at FROM "user";

INSERT INTO business (id, user_id, name, created_at)
SELECT pg_temp.numbered('b', gym), pg_temp.user_id('owner-' || gym || '@large.example'), 'Gym ' || gym, now() - interval '545 days'
FROM generate_series(1, 200) AS gym;

-- People are counted twice over: once among those who have signed up, once among those who have not. The last 10,000 of each are
-- the first 10,000 again, in another gym. Of those who have not signed up one in ten has no address, only a telephone.
CREATE TEMPORARY TABLE registered ON COMMIT DROP AS
SELECT n, 1 + (n - 1) / 500 AS gym, person, n % 2 = 0 AS is_linked, n % 2 = 1 AND person % 10 = 3 AS has_phone,
       now() - interval '540 days' + (n - 1) % 500 * interval '1 day' AS created_at
FROM generate_series(1, 100000) AS n, LATERAL (SELECT 1 + ((n - 1) / 2) % 40000 AS person) AS counted;

INSERT INTO athlete (id, user_id, athlete_code, invited_by, email, phone, full_name, locale, created_at, linked_at, linked_via)
SELECT pg_temp.numbered('a', n),
       CASE WHEN is_linked THEN pg_temp.user_id('athlete-' || person || '@large.example') END,
       -- Odd, so that no two are the same in the lowest 45 bits.
       pg_temp.athlete_code(n::bigint * 23456789012347),
       pg_temp.numbered('b', gym),
       CASE WHEN is_linked THEN 'athlete-' || person || '@large.example' WHEN NOT has_phone THEN 'invited-' || person || '@large.example' END,
       CASE WHEN has_phone THEN '+3932' || lpad(person::text, 8, '0') END,
       'Athlete ' || person,
       CASE WHEN n % 3 = 0 THEN 'it' ELSE 'en' END,
       created_at,
       CASE WHEN is_linked THEN created_at + interval '3 days' END,
       CASE WHEN is_linked THEN CASE WHEN n % 4 = 0 THEN 'code' ELSE 'email' END END
FROM registered;

-- What came of the first invitation.
INSERT INTO invitation (id, athlete_id, channel, status, attempts, provider_message_id, created_at, sent_at, expires_at)
SELECT pg_temp.numbered('c', n), pg_temp.numbered('a', n), CASE WHEN has_phone THEN 'sms' ELSE 'email' END,
       CASE WHEN is_linked THEN 'accepted' ELSE 'expired' END, 1, 'first-' || n, created_at, created_at, created_at + interval '30 days'
FROM registered;

-- Those who did not accept it have been invited again in the last 36 days: some too long ago, whatever the status says. Tries
-- that are still to come are spread over the next day.
INSERT INTO invitation
    (id, athlete_id, channel, status, attempts, next_attempt_at, provider_message_id, last_error, created_at, sent_at, expires_at)
SELECT pg_temp.numbered('d', n), pg_temp.numbered('a', n), CASE WHEN has_phone THEN 'sms' ELSE 'email' END,
       status, CASE status WHEN 'queued' THEN 6 WHEN 'failed' THEN 8 ELSE 1 END, now() + (60 + person % 1380) * interval '1 minute',
       CASE WHEN status NOT IN ('queued', 'failed') THEN 'again-' || n END,
       CASE WHEN status IN ('queued', 'failed') THEN 'The provider can''t be reached.' WHEN status = 'bounced' THEN 'The mailbox does not exist.' END,
       invited_at, CASE WHEN status NOT IN ('queued', 'failed') THEN invited_at END, invited_at + interval '30 days'
FROM registered,
LATERAL (
    SELECT CASE WHEN person % 100 < 6 THEN 'queued' WHEN person % 100 < 10 THEN 'failed' WHEN person % 100 < 18 THEN 'revoked'
                WHEN has_phone OR person % 100 < 40 THEN 'sent' WHEN person % 100 < 50 THEN 'bounced' WHEN person % 100 < 52 THEN 'complained'
                ELSE 'delivered' END AS status,
           now() - (1 + person % 36) * interval '1 day' AS invited_at
) AS again
WHERE NOT is_linked;

-- Twenty by every owner, and some that athletes wrote for themselves.
INSERT INTO workout (id, name, user_id, created_at)
SELECT pg_temp.numbered('e', 20 * (gym - 1) + week), 'Week ' || week, pg_temp.user_id('owner-' || gym || '@large.example'),
       now() - (21 - week) * interval '1 week'
FROM generate_series(1, 200) AS gym, generate_series(1, 20) AS week;

INSERT INTO workout (id, name, user_id, athlete_id, selected, created_at)
SELECT pg_temp.numbered('f', n), 'My own', pg_temp.user_id('athlete-' || person || '@large.example'), pg_temp.numbered('a', n), n % 40 = 0,
       now() - interval '7 days'
FROM registered WHERE is_linked AND n % 20 = 0;

-- Half a million rows go in four times as fast without the indexes and foreign keys, which are made again, and checked, as they were.
CREATE TEMPORARY TABLE set_aside ON COMMIT DROP AS
SELECT 'ALTER TABLE workout_athlete DROP CONSTRAINT ' || quote_ident(conname) AS remove,
       'ALTER TABLE workout_athlete ADD CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid) AS restore
FROM pg_constraint WHERE conrelid = 'workout_athlete'::regclass AND contype IN ('f', 'u')
UNION ALL
SELECT 'DROP INDEX ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'workout_athlete'::regclass
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid);
DO $$ DECLARE statement text; BEGIN FOR statement IN SELECT remove FROM set_aside LOOP EXECUTE statement; END LOOP; END $$;
ALTER TABLE workout_athlete DISABLE TRIGGER keep_completion;

-- Every athlete has the first workout of the gym and four of the others. They were assigned to forty athletes at a time.
INSERT INTO workout_athlete (id, workout_id, athlete_id, business_id, selected, created_at, completed_at)
SELECT pg_temp.numbered('0', 5 * n + nth), pg_temp.numbered('e', 20 * (gym - 1) + week), pg_temp.numbered('a', n), pg_temp.numbered('b', gym),
       is_linked AND nth = 4 AND n % 8 > 0,
       now() - (21 - week) * interval '1 week' + n % 500 / 40 * interval '1 hour',
       CASE WHEN is_linked AND nth < n % 5 THEN now() - (20 - week) * interval '1 week' END
FROM registered, generate_series(0, 4) AS nth, LATERAL (SELECT CASE nth WHEN 0 THEN 1 ELSE 2 + (n + 5 * nth) % 19 END AS week) AS given;

DO $$ DECLARE statement text; BEGIN FOR statement IN SELECT restore FROM set_aside LOOP EXECUTE statement; END LOOP; END $$;
ALTER TABLE workout_athlete ENABLE TRIGGER keep_completion;

-- What was completed was completed twice.
INSERT INTO completion (id, workout_id, athlete_id, user_id, completed_at)
SELECT gen_random_uuid(), workout_id, athlete_id, athlete.user_id, completed_at - earlier * interval '1 day'
FROM workout_athlete JOIN athlete ON athlete.id = athlete_id, generate_series(0, 1) AS earlier
WHERE completed_at IS NOT NULL;

-- Every fourth of them has signed up since.
INSERT INTO waitlist (id, email, user_id, created_at)
SELECT pg_temp.numbered('1', n), email, CASE WHEN n % 4 = 0 THEN pg_temp.user_id(email) END, now() - n * interval '1 hour'
FROM generate_series(1, 20000) AS n, concat(CASE WHEN n % 4 = 0 THEN 'athlete-' ELSE 'waiting-' END, n, '@large.example') AS email;

INSERT INTO athlete_code_attempt (user_id, failures)
SELECT pg_temp.user_id('athlete-' || person || '@large.example'), 1 + person % 5 FROM generate_series(1, 40000, 5) AS person;

COMMIT;

ANALYZE;
