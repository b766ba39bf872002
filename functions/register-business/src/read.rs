use crate::business::{Business, business_columns};
use serde::Serialize;
use shared::{
    domain::InvitationStatus,
    platform::{
        App,
        auth::caller,
        db::{Json, Parameter, Type},
        http::{Request, Response, no_query, path_id},
        problem::Problem,
    },
};
use std::collections::BTreeMap;

/// The gym and its counts: those on the roster, how many of them are linked, how their invitations
/// stand, and how many have left by themselves. All of them are read from indexes.
///
/// $1 subject, $2 business. No row: the gym is not the caller's.
const READ_BUSINESS: &str = concat!(
    "-- read_business
    SELECT ",
    business_columns!(),
    ", counted.by_status,
       (SELECT count(*) FROM athlete
        WHERE invited_by = gym.id AND user_id IS NOT NULL AND removed_at IS NULL) AS linked,
       (SELECT count(*) FROM athlete
        WHERE invited_by = gym.id AND removed_at IS NOT NULL AND removed_by = 'athlete') AS have_left
    FROM gym_of($1, $2) AS gym
    JOIN business ON business.id = gym.id,
    LATERAL (
        SELECT coalesce(json_object_agg(status, number), '{}') AS by_status
        FROM (
            SELECT status_now(status, expires_at) AS status, count(*) AS number
            FROM invitation
            WHERE business_id = gym.id AND is_current
            GROUP BY 1
        ) AS each
    ) AS counted"
);

/// A gym with its counts.
#[derive(Serialize)]
struct CountedBusiness {
    #[serde(flatten)]
    business: Business,
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    /// Athletes on the roster.
    athletes: i64,
    /// Those of them that an account is linked to.
    linked: i64,
    /// How many invitations stand so, for each state.
    by_status: BTreeMap<&'static str, i64>,
    /// Athletes who have left by themselves.
    left: i64,
}

/// One of the caller's gyms.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;

    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&business_id, Type::UUID)];
    let row = app.db.query_opt(READ_BUSINESS, &which).await?;
    let row = row.ok_or_else(|| Problem::not_found("gym"))?;
    let Json(counted): Json<BTreeMap<String, i64>> = row.get("by_status");
    let by_status = InvitationStatus::ALL.iter().map(|status| {
        let status = status.as_str();
        (status, counted.get(status).copied().unwrap_or_default())
    });
    Ok(Response::ok(&CountedBusiness {
        business: Business::from(&row),
        counts: Counts {
            athletes: counted.values().sum(),
            linked: row.get("linked"),
            by_status: by_status.collect(),
            left: row.get("have_left"),
        },
    }))
}
