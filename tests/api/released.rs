//! The statements of the last release. Its code still sends them while the migrations of the next
//! one are applied, so each must prepare on the newest schema, and give the columns that its code
//! reads.

use shared::platform::config::variables;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};
use tests::{Overheard, TestApp, story};
use tokio_postgres::{Client, types::Type};

/// The variable that names a file, from the root of the workspace on, in which this code's
/// statements are to be written.
const WRITE_TO: &str = "WRITE_STATEMENTS_TO";

/// Where those of the last release are.
const RELEASED: &str = "tests/released/statements.sql";

const HEAD: &str = "\
-- The statements of the last release, with the types of their parameters and the columns that they give.
-- Written when a release is made (deploy/README.md), and never by hand.
";

/// A statement, word for word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    /// It opens with `-- its_name`.
    sql: String,
    /// The names of its parameters' types.
    takes: Vec<String>,
    /// Its columns, each a name and the name of the type.
    gives: Vec<String>,
}

impl Statement {
    fn name(&self) -> &str {
        self.sql.lines().next().unwrap_or_default()
    }
}

fn file(app: &TestApp, path: &str) -> PathBuf {
    app.shared.workspace.root.join(path)
}

fn written(statements: &BTreeSet<Statement>) -> String {
    let blocks = statements.iter().map(|statement| {
        let Statement { sql, takes, gives } = statement;
        let (takes, gives) = (takes.join(", "), gives.join(", "));
        format!("\n{sql}\n-- takes: {takes}\n-- gives: {gives}\n")
    });
    HEAD.to_owned() + &blocks.collect::<String>()
}

fn read(text: &str) -> BTreeSet<Statement> {
    let list = |line: &str| -> Vec<String> {
        let items = line.split(", ").filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    };
    let mut statements = BTreeSet::new();
    let mut sql: Vec<&str> = Vec::new();
    let mut takes = Vec::new();
    for line in text.lines().skip(HEAD.lines().count()) {
        if let Some(types) = line.strip_prefix("-- takes: ") {
            takes = list(types);
        } else if let Some(columns) = line.strip_prefix("-- gives: ") {
            statements.insert(Statement {
                sql: sql.join("\n").trim_start().to_owned(),
                takes: std::mem::take(&mut takes),
                gives: list(columns),
            });
            sql.clear();
        } else {
            sql.push(line);
        }
    }
    statements
}

/// A database on which statements are prepared.
struct Schema {
    client: Client,
    types: BTreeMap<String, Type>,
}

impl Schema {
    async fn of(app: &TestApp) -> Self {
        let client = app.shared.postgres.connect(&app.database).await;
        let client = client.expect("the database can be reached");
        let types = client
            .query_typed("SELECT oid FROM pg_type", &[])
            .await
            .expect("the catalog can be read");
        let types = types.iter().filter_map(|row| Type::from_oid(row.get(0)));
        Self {
            types: types
                .map(|of_type| (of_type.name().to_owned(), of_type))
                .collect(),
            client,
        }
    }

    /// What the server makes of a statement: its columns, or why it can't be.
    async fn columns(&self, sql: &str, takes: &[Type]) -> Result<Vec<String>, String> {
        let prepared = self.client.prepare_typed(sql, takes).await;
        let prepared = prepared.map_err(|error| match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        })?;
        let columns = prepared.columns().iter();
        Ok(columns
            .map(|column| format!("{} {}", column.name(), column.type_().name()))
            .collect())
    }

    /// Why a released statement, or the code that sends it, fails here; nothing if it does not.
    async fn fault_of(&self, statement: &Statement) -> Option<String> {
        let types = statement.takes.iter().map(|name| self.types[name].clone());
        let types: Vec<_> = types.collect();
        let fault = match self.columns(&statement.sql, &types).await {
            Err(error) => error,
            Ok(columns) => {
                let lacks = |column: &&String| !columns.contains(column);
                let lacking = statement.gives.iter().find(lacks)?;
                format!("the column \"{lacking}\" is missing")
            }
        };
        Some(format!("{}: {fault}", statement.name()))
    }

    async fn faults_of(&self, statements: &BTreeSet<Statement>) -> Vec<String> {
        let mut faults = Vec::new();
        for statement in statements {
            faults.extend(self.fault_of(statement).await);
        }
        faults
    }
}

/// Writes down what was overheard, if that is asked for, and if the statements of the last release
/// are past harm.
pub(crate) async fn write_if_asked(app: &TestApp, overheard: &[Overheard]) {
    let Some(path) = variables().optional::<String>(WRITE_TO) else {
        return;
    };
    let schema = Schema::of(app).await;
    let faults = schema.faults_of(&released(app)).await;
    assert!(faults.is_empty(), "the last release fails: {faults:#?}");

    let named = overheard.iter().filter(|heard| heard.name().is_some());
    let once: BTreeMap<&str, &Overheard> = named.map(|heard| (&*heard.sql, heard)).collect();
    let mut statements = BTreeSet::new();
    for (sql, heard) in once {
        let types = heard.types();
        statements.insert(Statement {
            sql: sql.to_owned(),
            gives: schema.columns(sql, &types).await.expect("it was sent"),
            takes: types.iter().map(|kind| kind.name().to_owned()).collect(),
        });
    }
    let text = written(&statements);
    assert_eq!(read(&text), statements, "what is written can be read");
    fs::write(file(app, &path), text).expect("the file can be written");
}

fn released(app: &TestApp) -> BTreeSet<Statement> {
    let text = fs::read_to_string(file(app, RELEASED)).expect("there has been a release");
    let statements = read(&text);
    assert!(statements.len() > 20, "{}", statements.len());
    statements
}

#[test]
fn every_statement_of_the_last_release_works_on_the_newest_schema() {
    story(async |app| {
        let faults = Schema::of(app).await.faults_of(&released(app)).await;
        assert!(faults.is_empty(), "the last release fails: {faults:#?}");
    });
}

#[test]
fn migrations_that_break_the_last_release_are_noticed_and_others_are_not() {
    story(async |app| {
        let schema = Schema::of(app).await;
        let mut statements = released(app);
        // As this project had it once: the view's columns by their position.
        let columns: String = app
            .ask(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'roster'::regclass AND attnum > 0",
            )
            .await;
        statements.insert(Statement {
            sql: format!(
                "-- by_position\nSELECT {columns} FROM roster UNION ALL SELECT * FROM roster"
            ),
            takes: Vec::new(),
            gives: Vec::new(),
        });
        let roster: String = app.ask("SELECT pg_get_viewdef('roster'::regclass)").await;
        let roster = roster.trim_end_matches(';');
        let (all, by_position) = (&statements, "-- by_position: each UNION query must have");

        for (migration, expected) in [
            ("SELECT", None),
            ("ALTER TABLE athlete ADD COLUMN nickname text", None),
            ("CREATE TABLE message (id uuid PRIMARY KEY)", None),
            (
                &*format!(
                    "CREATE OR REPLACE VIEW roster AS SELECT old.*, 7 AS number FROM ({roster}) AS old"
                ),
                Some(by_position),
            ),
            (
                "ALTER TABLE workout RENAME COLUMN name TO title",
                Some("-- list_workouts: column \"name\" does not exist"),
            ),
            (
                "ALTER TABLE waitlist ALTER COLUMN created_at TYPE date",
                Some("-- waitlisted_since: the column \"since timestamptz\" is missing"),
            ),
        ] {
            // One after the other, each taken back.
            let sql = format!("BEGIN; {migration}");
            let applied = schema.client.batch_execute(&sql).await;
            applied.expect("the migration can be applied");
            let mut faults = Vec::new();
            for statement in all {
                let savepoint = schema.client.batch_execute("SAVEPOINT before");
                savepoint.await.expect("a savepoint");
                faults.extend(schema.fault_of(statement).await);
                let back = schema.client.batch_execute("ROLLBACK TO before");
                back.await.expect("and back");
            }
            let ended = schema.client.batch_execute("ROLLBACK");
            ended.await.expect("the migration is taken back");
            let as_expected = match expected {
                None => faults.is_empty(),
                Some(fault) => faults.iter().any(|found| found.starts_with(fault)),
            };
            assert!(as_expected, "{migration}: {faults:#?}");
        }
    });
}
