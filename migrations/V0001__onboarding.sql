-- The onboarding of athletes: gyms, athletes, invitations, workouts and the waitlist.
--
-- Whatever must never happen is a constraint here, and its name is what the program maps to an answer.
-- Text is kept as `text` with CHECKs: a domain, an enum or citext would cost every connection an extra look-up.

CREATE TABLE "user" (
    id         uuid        PRIMARY KEY,
    email      text        CONSTRAINT user_email_key UNIQUE
                           CONSTRAINT user_email_lower_case CHECK (email = lower(email)),
    full_name  text,
    avatar_url text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE "user" IS 'A person with an account at the identity provider.';
COMMENT ON COLUMN "user".id IS 'The subject (`sub`) of the person''s tokens.';
COMMENT ON COLUMN "user".email IS 'The address the person has proved to own, in lower case; null until one is proved, and again once another account has proved the same one.';
COMMENT ON COLUMN "user".full_name IS 'The name the token gave last.';
COMMENT ON COLUMN "user".avatar_url IS 'Where the token last said the person''s picture is.';
COMMENT ON COLUMN "user".created_at IS 'When the person was first seen here.';

CREATE TABLE business (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES "user",
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX business_by_owner ON business (user_id, created_at, id);
COMMENT ON TABLE business IS 'A gym.';
COMMENT ON COLUMN business.id IS 'Drawn by the program, so that a repeated insert is the same gym.';
COMMENT ON COLUMN business.user_id IS 'The owner: the only one who sees and changes what is the gym''s.';
COMMENT ON COLUMN business.name IS 'What the gym is called in its invitations.';
COMMENT ON COLUMN business.created_at IS 'When the gym was opened here.';

CREATE TABLE athlete (
    id           uuid        PRIMARY KEY,
    user_id      uuid        REFERENCES "user",
    athlete_code text        NOT NULL CONSTRAINT athlete_code_key UNIQUE
                             CONSTRAINT athlete_code_form CHECK (athlete_code ~ '^[0-9A-HJKMNP-TV-Z]{10}$'),
    invited_by   uuid        NOT NULL REFERENCES business,
    email        text        CONSTRAINT athlete_email_lower_case CHECK (email = lower(email)),
    phone        text        CONSTRAINT athlete_phone_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    full_name    text,
    locale       text        NOT NULL DEFAULT 'en',
    created_at   timestamptz NOT NULL DEFAULT now(),
    linked_at    timestamptz,
    linked_via   text        CONSTRAINT athlete_linked_via CHECK (linked_via IN ('email', 'code')),
    CONSTRAINT athlete_contact CHECK (email IS NOT NULL OR phone IS NOT NULL),
    CONSTRAINT athlete_link_whole CHECK (num_nulls(user_id, linked_at, linked_via) IN (0, 3)),
    CONSTRAINT athlete_email_key UNIQUE (invited_by, email),
    CONSTRAINT athlete_business_key UNIQUE (id, invited_by)
);
CREATE UNIQUE INDEX athlete_phone_key ON athlete (invited_by, phone) WHERE email IS NULL;
CREATE UNIQUE INDEX athlete_member_key ON athlete (invited_by, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX athlete_by_user ON athlete (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX athlete_by_open_email ON athlete (email) WHERE user_id IS NULL;
CREATE INDEX athlete_roster ON athlete (invited_by, created_at DESC, id DESC);
COMMENT ON TABLE athlete IS 'A person as one gym knows them; linked to the person''s account once they have signed up.';
COMMENT ON COLUMN athlete.id IS 'Drawn by the program, so that it knows its own insert from an earlier one of the same contact.';
COMMENT ON COLUMN athlete.user_id IS 'The account this athlete is linked to; null until linked. At most one athlete per gym and account (athlete_member_key).';
COMMENT ON COLUMN athlete.athlete_code IS 'What claims this athlete, ten characters of Crockford''s base 32, the last one a check; of use only while an invitation is open.';
COMMENT ON COLUMN athlete.invited_by IS 'The gym.';
COMMENT ON COLUMN athlete.email IS 'Where the gym''s invitation goes, in lower case; once per gym (athlete_email_key).';
COMMENT ON COLUMN athlete.phone IS 'E.164; where the invitation goes when there is no email, and then once per gym (athlete_phone_key).';
COMMENT ON COLUMN athlete.full_name IS 'The athlete''s name, as the gym wrote it.';
COMMENT ON COLUMN athlete.locale IS 'The language the athlete is written to: a BCP 47 tag.';
COMMENT ON COLUMN athlete.created_at IS 'When the gym registered the athlete.';
COMMENT ON COLUMN athlete.linked_at IS 'When the account was linked.';
COMMENT ON COLUMN athlete.linked_via IS 'What proved that the account is this athlete: the verified email, or the code.';

CREATE TABLE invitation (
    id                  uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    athlete_id          uuid        NOT NULL REFERENCES athlete,
    channel             text        NOT NULL CONSTRAINT invitation_channel CHECK (channel IN ('email', 'sms')),
    status              text        NOT NULL DEFAULT 'queued'
                                    CONSTRAINT invitation_status CHECK (status IN
                                        ('queued', 'sent', 'delivered', 'bounced', 'complained', 'failed', 'accepted', 'revoked', 'expired')),
    attempts            integer     NOT NULL DEFAULT 0 CONSTRAINT invitation_attempts CHECK (attempts >= 0),
    next_attempt_at     timestamptz NOT NULL DEFAULT now(),
    provider_message_id text,
    last_error          text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    sent_at             timestamptz,
    expires_at          timestamptz NOT NULL,
    CONSTRAINT invitation_expiry CHECK (expires_at > created_at)
);
CREATE UNIQUE INDEX invitation_open_key ON invitation (athlete_id) WHERE status NOT IN ('accepted', 'revoked', 'expired');
CREATE INDEX invitation_by_athlete ON invitation (athlete_id, created_at DESC, id DESC);
CREATE INDEX invitation_due ON invitation (next_attempt_at) WHERE status = 'queued';
CREATE INDEX invitation_by_message ON invitation (provider_message_id) WHERE provider_message_id IS NOT NULL;
COMMENT ON TABLE invitation IS 'A gym''s invitation to one athlete, and the outbox it is sent from. An athlete has at most one open one (invitation_open_key); the others are its history.';
COMMENT ON COLUMN invitation.id IS 'Drawn by the database.';
COMMENT ON COLUMN invitation.athlete_id IS 'Who is invited.';
COMMENT ON COLUMN invitation.channel IS 'How it is sent: email (SES) or sms (SNS).';
COMMENT ON COLUMN invitation.status IS 'Open: queued, sent, delivered, bounced, complained, failed: the code works in each of them until expires_at. Final: accepted, revoked, expired.';
COMMENT ON COLUMN invitation.attempts IS 'How often sending has been tried.';
COMMENT ON COLUMN invitation.next_attempt_at IS 'While queued: before this time nobody else may try to send it. It is the lease of the one who is trying, and the back-off after a failure.';
COMMENT ON COLUMN invitation.provider_message_id IS 'What SES or SNS called the message; later events of it are found by this.';
COMMENT ON COLUMN invitation.last_error IS 'Why the last try failed, in words for the gym''s owner; null after a success.';
COMMENT ON COLUMN invitation.created_at IS 'When the gym asked for it.';
COMMENT ON COLUMN invitation.sent_at IS 'When the provider took it.';
COMMENT ON COLUMN invitation.expires_at IS 'From then on it counts as expired, whatever its status says.';

CREATE TABLE workout (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    user_id    uuid        NOT NULL REFERENCES "user",
    athlete_id uuid        REFERENCES athlete,
    selected   boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workout_by_author ON workout (user_id, created_at DESC, id DESC);
CREATE INDEX workout_by_athlete ON workout (athlete_id) WHERE athlete_id IS NOT NULL;
COMMENT ON TABLE workout IS 'A workout that somebody wrote.';
COMMENT ON COLUMN workout.id IS 'Drawn by the program, so that a repeated insert is the same workout.';
COMMENT ON COLUMN workout.name IS 'What its author called it.';
COMMENT ON COLUMN workout.user_id IS 'The author.';
COMMENT ON COLUMN workout.athlete_id IS 'Set where an athlete wrote it for themselves.';
COMMENT ON COLUMN workout.selected IS 'Whether its athlete follows this own workout now.';
COMMENT ON COLUMN workout.created_at IS 'When it was written.';

CREATE TABLE workout_athlete (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    workout_id   uuid        NOT NULL REFERENCES workout,
    athlete_id   uuid        NOT NULL,
    business_id  uuid        NOT NULL REFERENCES business,
    selected     boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT workout_athlete_of_business FOREIGN KEY (athlete_id, business_id) REFERENCES athlete (id, invited_by),
    CONSTRAINT workout_athlete_key UNIQUE (workout_id, athlete_id)
);
CREATE UNIQUE INDEX workout_athlete_selected_key ON workout_athlete (athlete_id) WHERE selected;
CREATE INDEX workout_athlete_followers ON workout_athlete (workout_id, created_at DESC, id DESC);
CREATE INDEX workout_athlete_by_athlete ON workout_athlete (athlete_id, created_at DESC, id DESC);
CREATE INDEX workout_athlete_by_business ON workout_athlete (business_id);
COMMENT ON TABLE workout_athlete IS 'A workout assigned to an athlete by the athlete''s gym.';
COMMENT ON COLUMN workout_athlete.id IS 'Drawn by the database.';
COMMENT ON COLUMN workout_athlete.workout_id IS 'What is assigned; once per athlete (workout_athlete_key).';
COMMENT ON COLUMN workout_athlete.athlete_id IS 'To whom, signed up or not.';
COMMENT ON COLUMN workout_athlete.business_id IS 'The gym that assigned it; always the athlete''s own (workout_athlete_of_business).';
COMMENT ON COLUMN workout_athlete.selected IS 'Whether the athlete follows it now; at most one per athlete (workout_athlete_selected_key).';
COMMENT ON COLUMN workout_athlete.created_at IS 'When it was assigned.';
COMMENT ON COLUMN workout_athlete.completed_at IS 'When the athlete completed it.';

CREATE TABLE waitlist (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    email      text        NOT NULL CONSTRAINT waitlist_email_key UNIQUE
                           CONSTRAINT waitlist_email_lower_case CHECK (email = lower(email)),
    user_id    uuid        REFERENCES "user",
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX waitlist_by_user ON waitlist (user_id) WHERE user_id IS NOT NULL;
COMMENT ON TABLE waitlist IS 'Who asked to be told when they can come in without an invitation.';
COMMENT ON COLUMN waitlist.id IS 'Drawn by the database.';
COMMENT ON COLUMN waitlist.email IS 'Where to write, in lower case.';
COMMENT ON COLUMN waitlist.user_id IS 'The account that this person has signed up with since.';
COMMENT ON COLUMN waitlist.created_at IS 'When they joined.';

CREATE TABLE athlete_code_attempt (
    user_id  uuid        PRIMARY KEY REFERENCES "user",
    "window" timestamptz NOT NULL DEFAULT now(),
    failures integer     NOT NULL DEFAULT 0 CONSTRAINT athlete_code_attempt_failures CHECK (failures >= 0)
);
COMMENT ON TABLE athlete_code_attempt IS 'The lockout: how many wrong codes a person has typed of late.';
COMMENT ON COLUMN athlete_code_attempt.user_id IS 'Who typed them.';
COMMENT ON COLUMN athlete_code_attempt."window" IS 'When the counting began.';
COMMENT ON COLUMN athlete_code_attempt.failures IS 'How many were wrong since then.';

-- How the lockout works: five wrong codes within 15 minutes of the first, and no code of that person's is looked at until the
-- 15 minutes are over. Both functions see what is committed when they run, whatever the statement that calls them sees, and
-- the first keeps the row locked: of any number of guesses at one moment each knows how many were wrong before it.
CREATE FUNCTION code_attempts(caller uuid) RETURNS TABLE (is_locked boolean, retry_after bigint) LANGUAGE sql VOLATILE ROWS 1 AS $$
    INSERT INTO athlete_code_attempt (user_id) VALUES (caller) ON CONFLICT (user_id) DO NOTHING;

    SELECT failures >= 5 AND "window" + interval '15 minutes' > now(),
           ceil(extract(epoch FROM "window" + interval '15 minutes' - now()))::bigint
    FROM athlete_code_attempt WHERE user_id = caller
    FOR UPDATE;
$$;
COMMENT ON FUNCTION code_attempts IS 'Whether the caller has to wait before another code is looked at, and how many seconds; the row stays locked.';

CREATE FUNCTION count_wrong_code(caller uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE athlete_code_attempt
    SET failures = CASE WHEN "window" + interval '15 minutes' > now() THEN failures + 1 ELSE 1 END,
        "window" = CASE WHEN "window" + interval '15 minutes' > now() AND failures > 0 THEN "window" ELSE now() END
    WHERE user_id = caller;
$$;
COMMENT ON FUNCTION count_wrong_code IS 'Counts a wrong code of the caller''s.';

-- The caller's own row, made or brought up to date from the token. The address goes to the account that proved it last,
-- so that somebody who signs up by another way (a new `sub`, the same verified address) never meets a unique violation.
-- It writes nothing where nothing has changed. ROWS 1, here as above: with the 1000 that PostgreSQL assumes, a statement looks
-- dear enough to be compiled first (JIT), which takes longer than all the rest.
CREATE FUNCTION sign_in(caller uuid, verified_email text, caller_name text, caller_avatar text)
RETURNS SETOF "user" LANGUAGE sql VOLATILE ROWS 1 AS $$
    -- Accounts that prove one address at the same moment take their turns.
    SELECT pg_advisory_xact_lock(hashtextextended(verified_email, 0));

    UPDATE "user" SET email = NULL WHERE email = verified_email AND id <> caller;

    INSERT INTO "user" AS known (id, email, full_name, avatar_url)
    VALUES (caller, verified_email, caller_name, caller_avatar)
    ON CONFLICT (id) DO UPDATE
        SET email      = coalesce(excluded.email, known.email),
            full_name  = coalesce(excluded.full_name, known.full_name),
            avatar_url = coalesce(excluded.avatar_url, known.avatar_url)
        WHERE excluded.email      <> coalesce(known.email, '')
           OR excluded.full_name  <> coalesce(known.full_name, '')
           OR excluded.avatar_url <> coalesce(known.avatar_url, '');

    SELECT * FROM "user" WHERE id = caller;
$$;
COMMENT ON FUNCTION sign_in IS 'The caller''s row in "user", made or brought up to date from the claims of the token.';

-- Whether an invitation can be accepted now. Its statement is part of the one that asks: indexes serve it all the same.
CREATE FUNCTION is_open(invitation) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1.status NOT IN ('accepted', 'revoked', 'expired') AND $1.expires_at > now()
$$;
COMMENT ON FUNCTION is_open IS 'Whether an invitation can be accepted now: not accepted, not revoked, not expired.';

-- What a gym's owner sees of an athlete: the athlete and the last invitation, as it stands at this moment.
CREATE VIEW roster AS
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
       last.last_error AS invitation_last_error
FROM athlete
LEFT JOIN LATERAL (
    SELECT id,
           CASE WHEN status NOT IN ('accepted', 'revoked') AND expires_at <= now() THEN 'expired' ELSE status END AS status,
           channel, sent_at, expires_at, last_error
    FROM invitation
    WHERE athlete_id = athlete.id
    ORDER BY created_at DESC, id DESC
    LIMIT 1
) AS last ON true;
COMMENT ON VIEW roster IS 'What a gym''s owner sees of an athlete: the athlete and the last invitation, as it stands now.';
