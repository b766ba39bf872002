use serde_json::json;
use shared::db::{Db, DbConfig};
use tests::story;

#[test]
fn a_connection_that_died_between_two_requests_goes_unnoticed() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        for n in 0..5 {
            let kill = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
                app.database
            );
            app.shared
                .postgres
                .run(&app.database, &kill)
                .await
                .expect("connections are killed");
            owner
                .registers(gym, &json!({"email": format!("{n}@example.org")}))
                .await;
        }
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM invitation WHERE status = 'sent'")
                .await,
            5
        );
    });
}

#[test]
fn without_a_database_the_answer_is_503_in_time() {
    story(async |app| {
        let mut secret = app.shared.postgres.secret(&app.database);
        secret["port"] = json!(9);
        let secret_id = format!("{}-nobody-listens", app.database);
        app.shared
            .aws
            .put_secret(&secret_id, &secret)
            .await
            .expect("a secret can be stored");
        let config = DbConfig {
            secret_id,
            ca_file: None,
            connections: 1,
        };
        let aws = app.shared.sdk_config(None);

        let db = Db::open(config, &aws)
            .await
            .expect("the configuration has no faults");
        let error = db.query("SELECT 1", &[]).await.expect_err("no database");
        let answer = shared::problem::Problem::from(error).answer("a-request");
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        assert!(
            !answer.json().to_string().contains("127.0.0.1"),
            "{}",
            answer.json()
        );
    });
}
