use serde_json::json;
use shared::platform::{
    db::{Address, BUDGET, Db, DbConfig},
    http::Response,
    problem::{Kind, Problem},
};
use std::net::Ipv4Addr;
use tests::story;
use tokio::{net::TcpListener, time::timeout};

#[test]
fn connection_that_died_between_requests_fails_no_request() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let postgres = &app.shared.postgres;
        for n in 0..6 {
            // Behind a pooler two different things.
            let ended = if n % 2 == 0 {
                postgres.end_connections(&app.database).await
            } else {
                postgres.end_server_connections(&app.database).await
            };
            ended.expect("connections are ended");
            owner
                .registers(gym, &json!({"email": format!("{n}@example.org")}))
                .await;
        }
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM invitation WHERE status = 'sent'")
                .await,
            6
        );
    });
}

/// So it is after a failover, until the name of the writer leads to the new one.
#[test]
fn read_only_server_is_left_for_a_new_connection() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let owner = app.person("owner@iron.example");
        owner.opens_gym("Iron Temple").await;
        let set = async |value: &str| {
            let database = &app.database;
            let change = format!(
                r#"ALTER DATABASE "{database}" SET default_transaction_read_only = {value}"#
            );
            let changed = postgres.run("postgres", &change).await;
            changed.expect("the setting is changed");
        };
        let open = async || owner.post("/businesses", &json!({"name": "Second"})).await;

        set("on").await;
        postgres
            .end_connections(&app.database)
            .await
            .expect("ended");
        assert_eq!(open().await.problem(), "unavailable");
        set("off").await;
        // A pooler would go on lending those that may not write.
        let ended = postgres.end_server_connections(&app.database).await;
        ended.expect("ended");
        open().await.expect(201);
    });
}

#[test]
fn unreachable_database_is_503_in_time() {
    story(async |app| {
        let mut secret = app.shared.postgres.secret(&app.database);
        secret["port"] = json!(9);
        let db = app.db_by(&secret, None).await;
        let error = db.query("SELECT 1", &[]).await.expect_err("no database");
        let response = Response::problem(&Problem::from(error), "a-request");
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert!(
            !response.json().to_string().contains("127.0.0.1"),
            "{}",
            response.json()
        );
    });
}

#[test]
fn silent_server_is_unavailable_in_time() {
    story(async |app| {
        // The system takes the connection; nobody ever reads from it.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let mut secret = app.shared.postgres.secret(&app.database);
        secret["port"] = json!(silent.local_addr().expect("an address").port());
        let asked = async {
            let db = app.db_by(&secret, None).await;
            db.query("SELECT 1", &[]).await.expect_err("nobody answers")
        };
        let error = timeout(10 * BUDGET, asked)
            .await
            .expect("it is given up long before");
        assert_eq!(Problem::from(error).kind(), Kind::Unavailable);
    });
}

#[test]
fn slow_statement_is_given_up_and_the_next_one_served() {
    story(async |app| {
        let asked = app.app.db.query("SELECT pg_sleep(60)", &[]);
        let error = timeout(10 * BUDGET, asked)
            .await
            .expect("it is given up long before")
            .expect_err("it takes too long");
        assert_eq!(Problem::from(error).kind(), Kind::Unavailable);
        assert_eq!(app.ask::<i32>("SELECT 1").await, 1);
    });
}

#[test]
fn cold_function_without_secrets_manager_is_503() {
    story(async |app| {
        let nobody_listens_here = app.shared.sdk_config(Some("http://127.0.0.1:9"));
        let config = DbConfig {
            secret_id: app.database.clone(),
            address: Address::default(),
            ca_file: None,
            connections: 1,
        };
        let cold = Db::open(config, &nobody_listens_here)
            .await
            .expect("the configuration has no faults");
        let error = cold
            .query("SELECT 1", &[])
            .await
            .expect_err("there is no secret");
        assert_eq!(Problem::from(error).kind(), Kind::Unavailable);
    });
}

/// A statement, and a transaction, that wait for a lock longer than their budget. Once the lock is
/// free they must not go on.
#[test]
fn statement_that_was_given_up_is_stopped_at_the_server() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athlete = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let athlete = format!(
            "/businesses/{gym}/athletes/{}",
            athlete["id"].as_str().expect("an id")
        );
        let invitation = format!("{athlete}/invitation");
        let postgres = &app.shared.postgres;
        let client = postgres.connect(&app.database).await.expect("a connection");
        let lock = "BEGIN; LOCK TABLE business, athlete IN ACCESS EXCLUSIVE MODE";
        client.batch_execute(lock).await.expect("the lock is free");
        let path = format!("/businesses/{gym}/athletes");
        let registration = json!({"email": "bob@example.org"});
        let responses = futures::join!(
            owner.post(&path, &registration),
            owner.delete(&athlete),
            owner.delete(&invitation),
        );
        for response in [responses.0, responses.1, responses.2] {
            assert_eq!(response.problem(), "unavailable");
        }
        if std::env::var_os("LOCAL_POOLER").is_some() {
            // A pooler may not pass the wish on. The statements end by the timeout of the role, 5 s
            // after they began.
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        }
        client.batch_execute("ROLLBACK").await.expect("it ends");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 1);
        assert!(
            app.ask::<bool>("SELECT bool_and(removed_at IS NULL) FROM athlete")
                .await
        );
        assert_eq!(
            app.ask::<String>("SELECT status FROM invitation").await,
            "sent"
        );
        let at_work = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()";
        assert_eq!(app.ask::<i64>(at_work).await, 0);
    });
}
