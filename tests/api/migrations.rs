use local::postgres::Postgres;
use refinery::{Migration, Runner, Target};
use serde_json::Value;
use std::collections::BTreeMap;
use tests::{run, shared, story};
use tokio_postgres::Client;
use uuid::Uuid;

/// The rows that are stored once a migration is applied, for every table that it made: the
/// migrations after it meet them.
const STORED: [(i32, &str); 1] = [(1, include_str!("rows_of_v1.sql"))];

/// Runs a test on a database of its own to which no migration has been applied.
fn on_an_empty_database(test: impl AsyncFnOnce(&Postgres, &str)) {
    run(async {
        let postgres = &shared().await.postgres;
        let name = format!("onboarding_empty_{}", Uuid::now_v7().simple());
        postgres
            .create_database(&name, None)
            .await
            .expect("a database can be made");
        test(postgres, &name).await;
        postgres.drop_database(&name).await.expect("and dropped");
    });
}

/// The migrations of `migrations/`, changed.
fn runner(change: impl FnOnce(&mut Vec<Migration>)) -> Runner {
    let mut migrations = migrate::runner().get_migrations().clone();
    change(&mut migrations);
    Runner::new(&migrations)
}

fn migration(name: &str, sql: &str) -> Migration {
    Migration::unapplied(name, sql).expect("a name with a number")
}

/// The rows of every table.
async fn rows(client: &Client) -> BTreeMap<String, Vec<Value>> {
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'refinery_schema_history'";
    let mut stored = BTreeMap::new();
    for table in client
        .query_typed(tables, &[])
        .await
        .expect("the tables can be listed")
    {
        let table: String = table.get(0);
        let all = format!(r#"SELECT to_jsonb("row") FROM "{table}" AS "row""#);
        let rows = client
            .query_typed(&all, &[])
            .await
            .expect("a table can be read");
        stored.insert(table, rows.iter().map(|row| row.get(0)).collect());
    }
    stored
}

/// Whether a row has every value that it had; it may have new columns.
fn keeps(now: &Value, before: &Value) -> bool {
    before
        .as_object()
        .expect("a row is an object")
        .iter()
        .all(|(column, value)| now.get(column) == Some(value))
}

#[test]
fn stored_rows_survive_every_later_migration() {
    on_an_empty_database(async |postgres, database| {
        let mut client = postgres.connect(database).await.unwrap();
        let mut versions: Vec<i32> = migrate::runner()
            .get_migrations()
            .iter()
            .map(Migration::version)
            .collect();
        versions.sort_unstable();

        for version in versions {
            let before = rows(&client).await;
            let up_to_it = migrate::runner().set_target(Target::Version(version));
            let report = migrate::apply(&mut client, &up_to_it).await.unwrap();
            assert_eq!(report.applied.len(), 1);

            let now = rows(&client).await;
            for (table, row) in before
                .iter()
                .flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)))
            {
                assert!(
                    now[table].iter().any(|now| keeps(now, row)),
                    "{table} had {row:#} before {:?}",
                    report.applied
                );
            }
            for (_, sql) in STORED.iter().filter(|(since, _)| *since == version) {
                client.batch_execute(sql).await.unwrap();
            }
            for (table, rows) in rows(&client).await {
                assert!(
                    !rows.is_empty(),
                    "after V{version}, STORED has no row for {table}"
                );
            }
        }

        let before = rows(&client).await;
        let again = migrate::apply(&mut client, &migrate::runner())
            .await
            .unwrap();
        assert_eq!(again.applied, Vec::<String>::new());
        assert_eq!(rows(&client).await, before);
    });
}

#[test]
fn two_runs_at_once_migrate_once() {
    on_an_empty_database(async |postgres, database| {
        let (mut one, mut other) = (
            postgres.connect(database).await.unwrap(),
            postgres.connect(database).await.unwrap(),
        );
        let runner = migrate::runner();
        let reports = futures::join!(
            migrate::apply(&mut one, &runner),
            migrate::apply(&mut other, &runner)
        );
        let mut applied = [
            reports.0.unwrap().applied.len(),
            reports.1.unwrap().applied.len(),
        ];
        applied.sort_unstable();
        assert_eq!(applied, [0, runner.get_migrations().len()]);
    });
}

#[test]
fn failing_migration_says_why_and_leaves_nothing_behind() {
    on_an_empty_database(async |postgres, database| {
        let mut client = postgres.connect(database).await.unwrap();
        migrate::apply(&mut client, &migrate::runner())
            .await
            .unwrap();
        client.batch_execute(STORED[0].1).await.unwrap();
        let before = rows(&client).await;

        let failing = runner(|migrations| {
            migrations.push(migration(
                "V9999__one_address_for_all",
                "CREATE TABLE half_done (id uuid);
                 UPDATE waitlist SET email = 'changed@example.com';
                 INSERT INTO waitlist (email) VALUES ('changed@example.com')",
            ));
        });
        let error = migrate::apply(&mut client, &failing)
            .await
            .unwrap_err()
            .to_string();
        for part in [
            "V9999__one_address_for_all",
            "waitlist_email_key",
            "SQLSTATE 23505",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("changed@example.com"), "{error}");

        assert_eq!(rows(&client).await, before);
        let mended = runner(|migrations| {
            migrations.push(migration(
                "V9999__one_address_for_all",
                "CREATE TABLE half_done (id uuid)",
            ));
        });
        let report = migrate::apply(&mut client, &mended).await.unwrap();
        assert_eq!(report.applied, ["V9999__one_address_for_all"]);
    });
}

#[test]
fn changed_history_is_refused_with_the_reason() {
    on_an_empty_database(async |postgres, database| {
        let mut client = postgres.connect(database).await.unwrap();
        let later = runner(|migrations| migrations.push(migration("V9999__later", "SELECT 1")));
        migrate::apply(&mut client, &later).await.unwrap();

        let edited = runner(|migrations| {
            let first = migrations
                .iter_mut()
                .find(|migration| migration.version() == 1)
                .unwrap();
            *first = migration(&first.to_string(), "SELECT 'something else'");
            migrations.push(migration("V9999__later", "SELECT 1"));
        });
        let skipped = runner(|migrations| {
            migrations.push(migration("V9998__between", "SELECT 1"));
            migrations.push(migration("V9999__later", "SELECT 1"));
        });
        for (runner, reason) in [
            (edited, "V1__onboarding was edited after it was applied"),
            (
                migrate::runner(),
                "V9999__later was applied to this database, and this version of the code does not have it",
            ),
            (
                skipped,
                "V9998__between was never applied to this database, and one with a higher number was",
            ),
        ] {
            let error = migrate::apply(&mut client, &runner)
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    });
}

#[test]
fn migration_may_take_longer_than_a_statement_of_the_functions() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let mut client = postgres.connect(&app.database).await.unwrap();
        client
            .batch_execute("SET statement_timeout = '1ms'")
            .await
            .unwrap();
        migrate::apply(&mut client, &migrate::runner())
            .await
            .unwrap();
        client.batch_execute("SELECT pg_sleep(0.1)").await.unwrap();
    });
}

#[test]
fn every_table_and_column_has_a_comment() {
    story(async |app| {
        let silent: Value = app
            .ask(
                "SELECT coalesce(json_agg(relation.relname || '.' || attribute.attname), '[]')
                 FROM pg_class AS relation
                 JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum >= 0 AND NOT attribute.attisdropped
                 WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind = 'r'
                   AND relation.relname <> 'refinery_schema_history'
                   AND (col_description(relation.oid, attribute.attnum) IS NULL OR obj_description(relation.oid) IS NULL)",
            )
            .await;
        assert_eq!(silent, Value::Array(Vec::new()));
    });
}

#[test]
fn every_foreign_key_has_an_index() {
    story(async |app| {
        let bare: Value = app
            .ask(
                "SELECT coalesce(json_agg(conname), '[]') FROM pg_constraint AS key
                 WHERE contype = 'f' AND NOT EXISTS (
                     SELECT FROM pg_index AS index
                     WHERE indrelid = key.conrelid AND (indkey::smallint[])[0] = ANY (key.conkey)
                 )",
            )
            .await;
        assert_eq!(bare, Value::Array(Vec::new()));
    });
}
