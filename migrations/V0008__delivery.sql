-- Nothing is sent more often than it must be, and a statement that is sent again, because its answer was lost, knows its own work.
-- Earlier code goes on working: it counts attempts as before, and what it does not write has a default.

-- What is known of the attempts to send an invitation.

ALTER TABLE invitation
    ADD COLUMN throttled       integer NOT NULL DEFAULT 0 CONSTRAINT invitation_throttled CHECK (throttled >= 0),
    ADD COLUMN settled_attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN unknown_attempt integer,
    ADD COLUMN claim           uuid;
UPDATE invitation SET settled_attempt = attempts WHERE status = 'queued' AND attempts > 0 AND next_attempt_at <= now();
CREATE INDEX invitation_by_claim ON invitation (claim) WHERE claim IS NOT NULL;
CREATE INDEX invitation_due_in_gym ON invitation (business_id, next_attempt_at) WHERE status = 'queued';
COMMENT ON COLUMN invitation.attempts IS 'How often sending has been attempted; the number of the last attempt, which its mail has as a tag.';
COMMENT ON COLUMN invitation.throttled IS 'How many of the attempts the provider wanted later: they do not count.';
COMMENT ON COLUMN invitation.settled_attempt IS 'The last attempt of which it is known whether the provider took it.';
COMMENT ON COLUMN invitation.unknown_attempt IS 'The attempt whose outcome nobody knew: the provider did not answer, or the sender died. There is one further try, and no more.';
COMMENT ON COLUMN invitation.claim IS 'The claim by which a relay has the lease; null once the outcome is recorded.';

CREATE FUNCTION is_exhausted(invitation, max_attempts integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1.attempts - $1.throttled >= max_attempts
        OR $1.settled_attempt < $1.attempts AND coalesce($1.unknown_attempt <> $1.attempts, false)
$$;
COMMENT ON FUNCTION is_exhausted IS 'Whether a queued invitation is attempted no more: it had all its attempts, or the outcome of two is unknown.';

-- A wrong code counts once, however often its request is sent again.

ALTER TABLE athlete_code_attempt ADD COLUMN last_request uuid;
COMMENT ON COLUMN athlete_code_attempt.last_request IS 'The request whose code was counted last, by an id that the program draws.';

CREATE FUNCTION code_attempts(caller uuid, request uuid) RETURNS TABLE (is_locked boolean, retry_after bigint) LANGUAGE sql VOLATILE ROWS 1 AS $$
    INSERT INTO athlete_code_attempt (user_id) VALUES (caller) ON CONFLICT (user_id) DO NOTHING;

    SELECT failures >= 5 AND "window" + interval '15 minutes' > now() AND last_request IS DISTINCT FROM request,
           ceil(extract(epoch FROM "window" + interval '15 minutes' - now()))::bigint
    FROM athlete_code_attempt WHERE user_id = caller
    FOR UPDATE;
$$;
COMMENT ON FUNCTION code_attempts(uuid, uuid) IS 'Whether the caller has to wait before another code is looked at, and how many seconds; the row stays locked.';
COMMENT ON FUNCTION code_attempts(uuid) IS 'Of an earlier version: code_attempts with the request has taken its place.';

CREATE FUNCTION count_wrong_code(caller uuid, request uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE athlete_code_attempt
    SET failures = CASE WHEN "window" + interval '15 minutes' > now() THEN failures + 1 ELSE 1 END,
        "window" = CASE WHEN "window" + interval '15 minutes' > now() AND failures > 0 THEN "window" ELSE now() END,
        last_request = request
    WHERE user_id = caller AND last_request IS DISTINCT FROM request;
$$;
COMMENT ON FUNCTION count_wrong_code(uuid, uuid) IS 'Counts a wrong code of the caller''s, once for each request.';
COMMENT ON FUNCTION count_wrong_code(uuid) IS 'Of an earlier version: count_wrong_code with the request has taken its place.';

-- An address is the person's who proved it last, by the time in the token: not theirs who called last.

ALTER TABLE "user" ADD COLUMN email_proved_at timestamptz;
COMMENT ON COLUMN "user".email_proved_at IS 'When the person proved the address: they signed in then, as the token says. Null where no token said.';

CREATE FUNCTION sign_in(new_id uuid, its_subject text, verified_email text, its_name text, its_avatar text, signed_in_at timestamptz)
RETURNS SETOF "user" LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
DECLARE
    person uuid;
    proved_at timestamptz;
BEGIN
    -- Accounts that prove one address at the same moment take their turns.
    PERFORM pg_advisory_xact_lock(hashtextextended(verified_email, 0));
    -- The issuer's clock may be ahead of this one. A token without a time is one of this moment.
    proved_at := least(coalesce(signed_in_at, clock_timestamp()), clock_timestamp());

    SELECT user_id INTO person FROM identity WHERE subject = its_subject;
    IF person IS NULL THEN
        -- And so do two first requests of one account.
        PERFORM pg_advisory_xact_lock(hashtextextended(its_subject, 1));
        SELECT user_id INTO person FROM identity WHERE subject = its_subject;
    END IF;

    -- Somebody else has proved the address since, or the person another one.
    IF EXISTS (SELECT FROM "user" WHERE email = verified_email AND id IS DISTINCT FROM person AND email_proved_at > proved_at)
       OR EXISTS (SELECT FROM "user" WHERE id = person AND email <> verified_email AND email_proved_at > proved_at) THEN
        verified_email := NULL;
    END IF;

    IF person IS NULL THEN
        SELECT id INTO person FROM "user" WHERE email = verified_email;
        IF person IS NULL THEN
            INSERT INTO "user" (id, email, email_proved_at, full_name, avatar_url)
            VALUES (new_id, verified_email, CASE WHEN verified_email IS NOT NULL AND signed_in_at IS NOT NULL THEN proved_at END,
                    its_name, its_avatar)
            RETURNING id INTO person;
        END IF;
        INSERT INTO identity (subject, user_id) VALUES (its_subject, person);
    END IF;

    IF verified_email <> coalesce((SELECT email FROM "user" WHERE id = person), '') THEN
        -- In one order: two persons who take each other's address would wait for each other.
        PERFORM FROM "user" WHERE id = person OR email = verified_email ORDER BY id FOR UPDATE;
        UPDATE "user" SET email = NULL, email_proved_at = NULL WHERE email = verified_email AND id <> person;
    END IF;
    UPDATE "user"
    SET email           = coalesce(verified_email, email),
        email_proved_at = CASE WHEN verified_email IS NULL THEN email_proved_at
                               WHEN signed_in_at IS NULL AND verified_email = email THEN email_proved_at
                               WHEN signed_in_at IS NULL THEN NULL
                               WHEN verified_email = email THEN greatest(email_proved_at, proved_at)
                               ELSE proved_at END,
        full_name       = coalesce(its_name, full_name),
        avatar_url      = coalesce(its_avatar, avatar_url)
    WHERE id = person
      AND (verified_email <> coalesce(email, '')
           OR verified_email IS NOT NULL AND signed_in_at IS NOT NULL AND proved_at > coalesce(email_proved_at, '-infinity')
           OR its_name    <> coalesce(full_name, '')
           OR its_avatar  <> coalesce(avatar_url, ''));
    RETURN QUERY SELECT * FROM "user" WHERE id = person;
END
$$;
COMMENT ON FUNCTION sign_in(uuid, text, text, text, text, timestamptz) IS 'The person whose token this is, made or brought up to date from its claims.';

CREATE OR REPLACE FUNCTION sign_in(new_id uuid, its_subject text, verified_email text, its_name text, its_avatar text)
RETURNS SETOF "user" LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT * FROM sign_in(new_id, its_subject, verified_email, its_name, its_avatar, NULL::timestamptz);
END
$$;
COMMENT ON FUNCTION sign_in(uuid, text, text, text, text) IS 'Of an earlier version: sign_in with the time has taken its place.';
