//! What stands or falls with a pooler between the functions and the server, which is there where
//! `LOCAL_POOLER` asks for it. That it does stand there with the other tests is shown here too.

use serde_json::json;
use shared::platform::db::QueryError;
use tests::story;
use uuid::Uuid;

#[test]
fn prepared_statement_is_lost_behind_a_pooler_and_only_there() {
    story(async |app| {
        let secret = app.shared.postgres.secret(&app.database);
        let (one, another) = (
            app.db_by(&secret, None).await,
            app.db_by(&secret, None).await,
        );
        let runs = async |db: &shared::platform::db::Db, sql| db.query(sql, &[]).await.map(drop);
        runs(&one, "PREPARE answer AS SELECT 42")
            .await
            .expect("it is prepared");
        // Keeps the server's connection for itself, as far as the two share one.
        runs(&another, "BEGIN").await.expect("a transaction");
        let outcome = runs(&one, "EXECUTE answer").await;
        runs(&another, "ROLLBACK").await.expect("nothing was done");

        if std::env::var_os("LOCAL_POOLER").is_none() {
            outcome.expect("one connection of the client is one of the server");
        } else {
            let error = outcome.expect_err("the pooler has lent another connection");
            assert!(matches!(error, QueryError::Refused(_)), "{error}");
            // PostgreSQL, appendix A: invalid_sql_statement_name.
            assert!(error.to_string().contains("26000"), "{error}");
        }
    });
}

#[test]
fn first_request_after_a_password_rotation_succeeds() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let role = format!("rotated_{}", Uuid::now_v7().simple());
        let set = async |what: &str, password: &str| {
            let sql = format!("{what} ROLE {role} LOGIN PASSWORD '{password}'");
            postgres.run(&app.database, &sql).await.expect("a role");
        };
        set("CREATE", "first").await;
        let mut secret = postgres.secret(&app.database);
        secret["username"] = json!(role);
        secret["password"] = json!("first");
        let secret_id = Uuid::now_v7().to_string();
        let store = async |secret: &_| {
            let stored = app.shared.aws.put_secret(&secret_id, secret).await;
            stored.expect("a secret can be stored");
        };
        store(&secret).await;
        let db = app.db_of(&secret_id, None).await;

        set("ALTER", "second").await;
        secret["password"] = json!("second");
        store(&secret).await;
        postgres
            .end_connections(&app.database)
            .await
            .expect("connections are ended");
        let rows = db.query("SELECT current_user::text", &[]).await;
        let rows = rows.expect("the new password is read");
        assert_eq!(rows[0].get::<_, String>(0), role);

        drop(db);
        postgres
            .run(&app.database, &format!("DROP ROLE {role}"))
            .await
            .expect("the role goes");
    });
}
