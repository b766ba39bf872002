use crate::account::{Link, User};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::platform::{
    App,
    auth::caller,
    db::Json,
    http::{Request, Response, no_query},
    problem::Problem,
};
use uuid::Uuid;

/// The caller, the gyms they own and the athletes they are linked to, each at most 200, the newest
/// first.
///
/// $1 to $6 the caller.
const ME: &str = "-- me
    SELECT caller.*, owned.list AS businesses, been.list AS athletes
    FROM sign_in($1, $2, $3, $4, $5, $6) AS caller,
    LATERAL (
        SELECT coalesce(json_agg(business), '[]') AS list
        FROM (
            SELECT id, name, locale, country, time_zone, created_at FROM business
            WHERE user_id = caller.id AND closed_at IS NULL
            ORDER BY created_at DESC, id DESC LIMIT 200
        ) AS business
    ) AS owned,
    LATERAL (
        SELECT coalesce(json_agg(athlete), '[]') AS list
        FROM (
            SELECT athlete.id AS athlete_id, json_build_object('id', business.id, 'name', business.name) AS business,
                   linked_via AS via, linked_at
            FROM athlete JOIN business ON business.id = athlete.invited_by
            WHERE athlete.user_id = caller.id AND athlete.removed_at IS NULL
            ORDER BY linked_at DESC, athlete.id DESC LIMIT 200
        ) AS athlete
    ) AS been";

#[derive(Serialize)]
struct Me {
    user: User,
    businesses: Vec<Business>,
    athletes: Vec<Link>,
}

#[derive(Serialize, Deserialize)]
struct Business {
    id: Uuid,
    name: String,
    locale: String,
    country: Option<String>,
    time_zone: String,
    created_at: Timestamp,
}

/// The caller, the gyms they own and the athletes they are linked to.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let row = app.db.query_one(ME, &caller.parameters()).await?;
    let Json(businesses) = row.get("businesses");
    let Json(athletes) = row.get("athletes");
    Ok(Response::ok(&Me {
        user: User::from(&row),
        businesses,
        athletes,
    }))
}
