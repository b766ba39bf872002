use crate::business::{Business, business_columns};
use shared::platform::{
    App,
    auth::caller,
    db::Type,
    http::{List, Request, Response, page},
    problem::Problem,
};

/// A page of an owner's open gyms, the newest first. $1 subject, $2 and $3 position, $4 rows.
const LIST_BUSINESSES: &str = concat!(
    "-- list_businesses
    SELECT ",
    business_columns!(),
    " FROM business
    WHERE user_id = (SELECT id FROM caller($1)) AND closed_at IS NULL AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4"
);

/// A page of the caller's open gyms.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let page = page(request)?;

    let parameters = [
        &[(&caller.subject as _, Type::TEXT)],
        page.parameters().as_slice(),
    ]
    .concat();
    let rows = app.db.query(LIST_BUSINESSES, &parameters).await?;
    let businesses = rows.iter().map(Business::from).collect();
    Ok(Response::ok(&List::new(
        &page,
        businesses,
        Business::position,
    )))
}
