//! Data of the size that the product is made for, to try the interface on and to look at query
//! plans with.

use anyhow::Result;
use uuid::Uuid;

use crate::postgres::Postgres;

/// The rows. What they are is said there.
const ROWS: &str = include_str!("large.sql");

/// The owner of the first of the gyms.
pub const OWNER: &str = "owner-1@large.example";

/// Somebody who trains at two of the gyms.
pub const ATHLETE: &str = "athlete-1@large.example";

/// Loads 200 gyms with 100,000 athletes and 500,000 assignments into a migrated database, beside
/// what is there, and gathers the planner's statistics. Takes a few seconds.
pub async fn load(postgres: &Postgres, database: &str) -> Result<()> {
    postgres.run(database, ROWS).await
}

/// The id of the row with this number in the table that the letter stands for: `numbered` in the
/// SQL.
#[must_use]
pub fn numbered(letter: char, number: u32) -> Uuid {
    format!("01960000-000{letter}-7000-8000-{number:012}")
        .parse()
        .expect("a letter up to f and a number up to twelve digits make a UUID")
}
