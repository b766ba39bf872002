//! `POST /businesses`: a user opens a gym. `GET /businesses`: the gyms they have opened.

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::Name,
    platform::{
        App,
        auth::caller,
        db::{Row, Type},
        http::{Fields, List, Position, Request, Response, body, page, route, unknown_route},
        problem::Problem,
    },
};
use uuid::Uuid;

struct Opening {
    name: Name,
}

impl Opening {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.required("name");
        body.finish(name.map(|name| Self { name }))
    }
}

/// Creates a gym. A statement that is sent again has the same id, and gives the same gym.
///
/// $1 to $5 the caller, $6 id, $7 name.
const OPEN_BUSINESS: &str = "-- open_business
    INSERT INTO business AS opened (id, user_id, name)
    SELECT $6, caller.id, $7 FROM sign_in($1, $2, $3, $4, $5) AS caller
    ON CONFLICT (id) DO UPDATE SET id = opened.id
    RETURNING id, name, created_at";

/// A page of an owner's gyms, the newest first. $1 owner, $2 and $3 position, $4 rows.
const LIST_BUSINESSES: &str = "-- list_businesses
    SELECT id, name, created_at FROM business
    WHERE user_id = (SELECT id FROM caller($1)) AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4";

#[derive(Serialize)]
struct Business {
    id: Uuid,
    name: String,
    created_at: Timestamp,
}

impl From<Row> for Business {
    fn from(row: Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            created_at: row.get("created_at"),
        }
    }
}

pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /businesses" => open(app, &request).await,
        "GET /businesses" => list(app, &request).await,
        other => Err(unknown_route(other)),
    }
}

async fn open(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let Opening { name } = Opening::read(body(request)?)?;
    let id = Uuid::now_v7();

    let parameters = [
        caller.parameters().as_slice(),
        &[(&id, Type::UUID), (&name, Type::TEXT)],
    ]
    .concat();
    let row = app.db.query_one(OPEN_BUSINESS, &parameters).await?;
    Ok(Response::created(&Business::from(row)))
}

async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let page = page(request)?;

    let parameters = [
        &[(&caller.subject as _, Type::TEXT)],
        page.parameters().as_slice(),
    ]
    .concat();
    let rows = app.db.query(LIST_BUSINESSES, &parameters).await?;
    let businesses = rows.into_iter().map(Business::from).collect();
    Ok(Response::ok(&List::new(
        &page,
        businesses,
        |business: &Business| Position {
            created_at: business.created_at,
            id: business.id,
        },
    )))
}
