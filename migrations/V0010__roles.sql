-- The role that the functions log in as: it reads and writes rows, and changes nothing else. Whoever applies the migrations owns
-- the tables, and needs the right to create roles, which RDS's master user has, or somebody has made this role before.
--
-- A role belongs to the server and may be there already: another database's migrations made it, or a dump is restored beside it.
-- Its password is no business of a migration: the function that migrates takes it from Secrets Manager.

DO $$
DECLARE
    setting text[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'onboarding_functions') THEN
        CREATE ROLE onboarding_functions NOLOGIN;
    END IF;
    -- A function gives a statement up after 3 seconds; the server must not go on with it for long.
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
        ['statement_timeout', '5s'],
        ['idle_in_transaction_session_timeout', '5s']
    ] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole
            WHERE rolname = 'onboarding_functions' AND setdatabase = 0 AND setting[1] || '=' || setting[2] = ANY (setconfig)
        ) THEN
            EXECUTE format('ALTER ROLE onboarding_functions SET %I = %L', setting[1], setting[2]);
        END IF;
    END LOOP;
EXCEPTION
    -- Another database's migrations, at this very moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role onboarding_functions can''t be made or set: % (log in as a user with CREATEROLE, or let an administrator run: CREATE ROLE onboarding_functions; ALTER ROLE onboarding_functions SET statement_timeout = ''5s''; ALTER ROLE onboarding_functions SET idle_in_transaction_session_timeout = ''5s'')', SQLERRM
            USING ERRCODE = 'insufficient_privilege';
END
$$;

GRANT USAGE ON SCHEMA public TO onboarding_functions;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO onboarding_functions;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO onboarding_functions;

-- What later migrations make.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO onboarding_functions;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO onboarding_functions;

-- Which migrations have been applied is the migrating function's own knowledge.
DO $$
BEGIN
    IF to_regclass('public.refinery_schema_history') IS NOT NULL THEN
        REVOKE ALL ON refinery_schema_history FROM onboarding_functions;
    END IF;
END
$$;
