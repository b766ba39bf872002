//! The functions log in as a role that reads and writes rows and nothing else; the migrations as
//! the owner of the tables.

use migrate::{Credentials, FUNCTIONS_ROLE, let_functions_in};
use serde_json::json;
use shared::platform::db::QueryError;
use tests::{run, story};
use uuid::Uuid;

#[test]
fn the_functions_change_rows_and_never_the_schema() {
    story(async |app| {
        let db = &app.app.db;
        let who = db.query_one(
            "SELECT current_user::text, current_setting('statement_timeout')",
            &[],
        );
        let who = who.await.expect("they are let in");
        assert_eq!(
            (who.get::<_, &str>(0), who.get::<_, &str>(1)),
            (FUNCTIONS_ROLE, "5s")
        );
        for forbidden in [
            "CREATE TABLE a_table ()",
            "DROP TABLE waitlist",
            "TRUNCATE waitlist",
            "ALTER TABLE waitlist ADD COLUMN a_column text",
            "CREATE OR REPLACE FUNCTION retry_delay(attempts integer) RETURNS interval LANGUAGE sql AS $$ SELECT interval '0' $$",
            "SELECT * FROM refinery_schema_history",
            "CREATE ROLE another",
            "ALTER ROLE onboarding_functions SUPERUSER",
            "SELECT pg_read_file('/etc/passwd')",
        ] {
            let error = db.query(forbidden, &[]).await.expect_err(forbidden);
            assert!(
                matches!(error, QueryError::Refused(_)),
                "{forbidden}: {error}"
            );
            // PostgreSQL, appendix A: insufficient_privilege.
            assert!(error.to_string().contains("42501"), "{forbidden}: {error}");
        }
    });
}

#[test]
fn what_a_later_migration_makes_is_theirs_to_read_and_write_too() {
    story(async |app| {
        let later = "CREATE TABLE later (id integer);
             CREATE FUNCTION later_still() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM later'";
        let postgres = &app.shared.postgres;
        postgres
            .run(&app.database, later)
            .await
            .expect("the owner may");
        for statement in [
            "INSERT INTO later VALUES (1)",
            "UPDATE later SET id = 2",
            "SELECT later_still()",
            "DELETE FROM later",
        ] {
            let done = app.app.db.query(statement, &[]).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    });
}

/// RDS's master user is none of the server's, and may create roles.
#[test]
fn an_owner_who_is_no_superuser_migrates_and_one_who_may_not_make_roles_is_told_what_to_do() {
    run(async {
        // The roles of a server are those of all its databases: on one that the other tests don't
        // use.
        let server = local::services::Services::start_private().await;
        let server = &server.expect("PostgreSQL").postgres;
        let outcome = async |options: &str| {
            let name = format!("owned_{}", Uuid::now_v7().simple());
            let setup = format!("CREATE ROLE {name} LOGIN PASSWORD 'x' {options}");
            server
                .run("postgres", &setup)
                .await
                .expect("a role is made");
            server
                .create_database(&name, None)
                .await
                .expect("a database");
            let owner = format!("ALTER DATABASE {name} OWNER TO {name}");
            server
                .run("postgres", &owner)
                .await
                .expect("it has an owner");
            let mut config = server.config(&name);
            config.user(&name).password("x");
            let (mut client, connection) = config
                .connect(tokio_postgres::NoTls)
                .await
                .expect("the owner is let in");
            tokio::spawn(connection);
            migrate::apply(&mut client, &migrate::runner()).await?;
            let login = Credentials {
                username: FUNCTIONS_ROLE.to_owned(),
                password: "of the functions".to_owned(),
            };
            let_functions_in(&client, &login).await?;
            // Without a change it is repeated at every deployment.
            let_functions_in(&client, &login).await
        };
        let refused = outcome("NOCREATEROLE").await.expect_err("it may not");
        let refused = refused.to_string();
        assert!(
            refused.contains("CREATE ROLE onboarding_functions"),
            "{refused}"
        );
        outcome("CREATEROLE").await.expect("it may");
    });
}

#[test]
fn a_login_that_is_not_the_functions_role_is_refused() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let client = postgres.connect(&app.database).await.expect("a connection");
        let owner = postgres.owner_secret(&app.database);
        let text = |name: &str| owner[name].as_str().unwrap_or_default().to_owned();
        let login = Credentials {
            username: text("username"),
            password: text("password"),
        };
        let refused = let_functions_in(&client, &login).await;
        let refused = refused
            .expect_err("the owner stays what they are")
            .to_string();
        assert!(
            refused.contains("must be the login of onboarding_functions"),
            "{refused}"
        );
    });
}

#[test]
fn a_password_that_the_database_does_not_know_is_set_by_the_next_migration() {
    story(async |app| {
        let server = local::services::Services::start_private().await;
        let server = &server.expect("PostgreSQL").postgres;
        let database = server
            .migrated_database("rotated")
            .await
            .expect("a database");
        let mut secret = server.secret(&database);
        secret["password"] = json!("a new one, with ' and \\ in it");
        let before = app.db_by(&secret, None).await.query("SELECT 1", &[]).await;
        before.expect_err("nobody has told the database");

        let client = server.connect(&database).await.expect("a connection");
        let login = Credentials {
            username: FUNCTIONS_ROLE.to_owned(),
            password: "a new one, with ' and \\ in it".to_owned(),
        };
        let_functions_in(&client, &login).await.expect("it is set");
        let after = app.db_by(&secret, None).await.query("SELECT 1", &[]).await;
        after.expect("the new password is good");
    });
}
