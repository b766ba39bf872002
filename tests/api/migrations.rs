use serde_json::Value;
use tests::story;

#[test]
fn migrations_can_be_applied_again_and_by_two_at_once() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let mut clients = (
            postgres.connect(&app.database).await.unwrap(),
            postgres.connect(&app.database).await.unwrap(),
        );
        let reports = futures::join!(
            migrate::apply(&mut clients.0),
            migrate::apply(&mut clients.1)
        );
        assert_eq!(
            (reports.0.unwrap().applied, reports.1.unwrap().applied),
            (Vec::<String>::new(), Vec::new())
        );

        let empty = format!("{}_empty", app.database);
        postgres.create_database(&empty, None).await.unwrap();
        let mut clients = (
            postgres.connect(&empty).await.unwrap(),
            postgres.connect(&empty).await.unwrap(),
        );
        let reports = futures::join!(
            migrate::apply(&mut clients.0),
            migrate::apply(&mut clients.1)
        );
        let mut applied = [
            reports.0.unwrap().applied.len(),
            reports.1.unwrap().applied.len(),
        ];
        applied.sort_unstable();
        assert!(applied[0] == 0 && applied[1] >= 1, "{applied:?}");
        postgres.drop_database(&empty).await.unwrap();
    });
}

#[test]
fn migrations_may_take_longer_than_a_statement_of_the_functions() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let mut client = postgres.connect(&app.database).await.unwrap();
        client
            .batch_execute("SET statement_timeout = '1ms'")
            .await
            .unwrap();
        migrate::apply(&mut client).await.unwrap();
        client.batch_execute("SELECT pg_sleep(0.1)").await.unwrap();
    });
}

#[test]
fn every_table_and_column_says_what_it_is() {
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
