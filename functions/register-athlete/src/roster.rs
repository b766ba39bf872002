use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
};
use shared::{
    domain::{ErrorCode, InvitationStatus},
    platform::{
        auth::caller,
        db::Type,
        http::{List, Request, Response, page, path_id},
        problem::{FieldError, Problem, zip_errors},
    },
};
use uuid::Uuid;

/// The status of invitations that `?status=` asks for, if it is there.
fn status(request: &Request) -> Result<Option<InvitationStatus>, Problem> {
    let Some(text) = request.query_string_parameters.first("status") else {
        return Ok(None);
    };
    InvitationStatus::from_text(text).map(Some).ok_or_else(|| {
        let all: Vec<_> = InvitationStatus::ALL.iter().map(|s| s.as_str()).collect();
        let detail = format!("must be one of {}", all.join(", "));
        Problem::invalid_input(vec![FieldError::of_parameter(
            "status",
            ErrorCode::NotAllowed,
            detail,
        )])
    })
}

/// A page of the gym's athletes, the newest first.
///
/// $1 owner, $2 business, $3 and $4 position, $5 rows, $6 status.
///
/// No row: the gym is not the caller's. One row without an athlete: the page is empty.
const LIST_ATHLETES: &str = concat!(
    "-- list_athletes
    SELECT athlete.*
    FROM gym_of($1, $2) AS gym LEFT JOIN LATERAL (
        SELECT ",
    roster_columns!(),
    " FROM roster
        WHERE business_id = gym.id AND (created_at, id) < ($3, $4)
              AND ($6 IS NULL OR invitation_status = $6)
        ORDER BY created_at DESC, id DESC
        LIMIT $5
    ) AS athlete ON true
    ORDER BY athlete.created_at DESC, athlete.id DESC"
);

/// Lists the gym's athletes, page by page.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let (page, status) = zip_errors(page(request), status(request))?;

    let who = [
        (&caller.subject as _, Type::TEXT),
        (&business_id as _, Type::UUID),
    ];
    let parameters = [who.as_slice(), &page.parameters(), &[(&status, Type::TEXT)]].concat();
    let rows = app.db.query(LIST_ATHLETES, &parameters).await?;
    if rows.is_empty() {
        return Err(Problem::not_found("gym"));
    }
    let athletes = rows
        .iter()
        .filter(|row| row.get::<_, Option<Uuid>>("id").is_some())
        .map(Athlete::from)
        .collect();
    Ok(Response::ok(&List::new(&page, athletes, Athlete::position)))
}
