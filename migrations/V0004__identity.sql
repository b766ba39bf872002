-- A person may sign in by several ways, each with a subject of its own, and a subject may be any text. One verified address is
-- one person. Earlier code, which took the subject for the person's id, goes on working: see sign_in(uuid, …) below.

CREATE TABLE identity (
    subject    text        PRIMARY KEY CONSTRAINT identity_subject CHECK (length(subject) BETWEEN 1 AND 255),
    user_id    uuid        NOT NULL REFERENCES "user",
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX identity_by_user ON identity (user_id);
COMMENT ON TABLE identity IS 'A way of signing in: an account at the identity provider. Several may be one person.';
COMMENT ON COLUMN identity.subject IS 'The subject (`sub`) of the account''s tokens.';
COMMENT ON COLUMN identity.user_id IS 'The person.';
COMMENT ON COLUMN identity.created_at IS 'When the account was first seen here.';
COMMENT ON TABLE "user" IS 'A person who has signed in.';
COMMENT ON COLUMN "user".id IS 'Drawn by the program.';
COMMENT ON COLUMN "user".email IS 'The address the person has proved to own, in lower case; null until one is proved, and again once another person has proved the same one.';

INSERT INTO identity (subject, user_id, created_at) SELECT id::text, id, created_at FROM "user";

-- The person whose token this is, made or brought up to date from the claims. It writes nothing where nothing has changed.
--
-- A new subject that proves the address of a person is that person: an account that was made anew, or a second way of signing
-- in. A subject that has a person already takes an address that it proves from whoever has it.
CREATE FUNCTION sign_in(new_id uuid, its_subject text, verified_email text, its_name text, its_avatar text)
RETURNS SETOF "user" LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
DECLARE
    person uuid;
BEGIN
    -- Accounts that prove one address at the same moment take their turns.
    PERFORM pg_advisory_xact_lock(hashtextextended(verified_email, 0));

    SELECT user_id INTO person FROM identity WHERE subject = its_subject;
    IF person IS NULL THEN
        -- And so do two first requests of one account.
        PERFORM pg_advisory_xact_lock(hashtextextended(its_subject, 1));
        SELECT user_id INTO person FROM identity WHERE subject = its_subject;
    END IF;
    IF person IS NULL THEN
        SELECT id INTO person FROM "user" WHERE email = verified_email;
        IF person IS NULL THEN
            INSERT INTO "user" (id, email, full_name, avatar_url)
            VALUES (new_id, verified_email, its_name, its_avatar)
            RETURNING id INTO person;
        END IF;
        INSERT INTO identity (subject, user_id) VALUES (its_subject, person);
    END IF;

    UPDATE "user" SET email = NULL WHERE email = verified_email AND id <> person;
    UPDATE "user"
    SET email      = coalesce(verified_email, email),
        full_name  = coalesce(its_name, full_name),
        avatar_url = coalesce(its_avatar, avatar_url)
    WHERE id = person
      AND (verified_email <> coalesce(email, '')
           OR its_name    <> coalesce(full_name, '')
           OR its_avatar  <> coalesce(avatar_url, ''));
    RETURN QUERY SELECT * FROM "user" WHERE id = person;
END
$$;
COMMENT ON FUNCTION sign_in(uuid, text, text, text, text) IS 'The person whose token this is, made or brought up to date from its claims.';

-- Of an earlier version, which took the subject for the person's id.
CREATE OR REPLACE FUNCTION sign_in(caller uuid, verified_email text, caller_name text, caller_avatar text)
RETURNS SETOF "user" LANGUAGE sql VOLATILE ROWS 1 AS $$
    SELECT * FROM sign_in(caller, caller::text, verified_email, caller_name, caller_avatar)
$$;
COMMENT ON FUNCTION sign_in(uuid, text, text, text) IS 'Of an earlier version: sign_in with a subject has taken its place.';

-- The two questions that every statement begins with. Both are unfolded into the statement that asks: indexes serve them.

CREATE FUNCTION caller(its_subject text) RETURNS TABLE (id uuid) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT user_id FROM identity WHERE subject = its_subject
$$;
COMMENT ON FUNCTION caller IS 'The person with this subject; no row where nobody has signed in by it yet.';

CREATE FUNCTION gym_of(its_subject text, its_id uuid) RETURNS TABLE (id uuid, name text, owner_id uuid) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT business.id, business.name, business.user_id
    FROM identity JOIN business ON business.user_id = identity.user_id
    WHERE identity.subject = its_subject AND business.id = its_id
$$;
COMMENT ON FUNCTION gym_of IS 'The gym, if the person with this subject may act for it: the one place where that is decided.';
