use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{Country, Locale, Name, TimeZone},
    platform::{
        App,
        db::{QueryError, Row, Type},
        http::Position,
        problem::{FieldError, Problem},
    },
};
use uuid::Uuid;

/// The columns of `business` that make a [`Business`].
macro_rules! business_columns {
    () => {
        "business.id, business.name, business.locale, business.country, business.time_zone, business.created_at"
    };
}
pub(crate) use business_columns;

/// A gym, as its owner sees it.
#[derive(Serialize)]
pub(crate) struct Business {
    id: Uuid,
    name: Name,
    locale: Locale,
    country: Option<Country>,
    time_zone: TimeZone,
    created_at: Timestamp,
}

impl Business {
    pub(crate) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

impl From<&Row> for Business {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            locale: row.get("locale"),
            country: row.get("country"),
            time_zone: row.get("time_zone"),
            created_at: row.get("created_at"),
        }
    }
}

/// True if the database, which calculates with it, knows the time zone. $1 name.
const IS_TIME_ZONE: &str = "-- is_time_zone
    SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1) AS is_known";

/// Refuses a time zone that the database does not know.
pub(crate) async fn check_time_zone(
    app: &App,
    time_zone: Option<&TimeZone>,
) -> Result<(), Problem> {
    let Some(time_zone) = time_zone else {
        return Ok(());
    };
    if is_time_zone(app, time_zone).await? {
        return Ok(());
    }
    let unknown = TimeZone::UNKNOWN;
    let error = FieldError::at("time_zone", unknown.code, unknown.detail);
    Err(Problem::invalid_input(vec![error]))
}

async fn is_time_zone(app: &App, time_zone: &TimeZone) -> Result<bool, QueryError> {
    let row = app
        .db
        .query_one(IS_TIME_ZONE, &[(time_zone, Type::TEXT)])
        .await?;
    Ok(row.get("is_known"))
}
