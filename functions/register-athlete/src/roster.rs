use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
};
use shared::{
    domain::{ErrorCode, InvitationStatus, Name, ValidationError},
    platform::{
        auth::caller,
        db::{Parameter, Type},
        http::{List, Noted, Query, Request, Response, path_id},
        problem::Problem,
    },
};
use uuid::Uuid;

/// The athletes that are asked for.
enum Filter {
    Everybody,
    /// Those with an invitation in one of these states.
    Status(Vec<InvitationStatus>),
    /// Those that this text finds, with an invitation in one of these states.
    Words(Name, Vec<InvitationStatus>),
}

impl Filter {
    /// From `?q=` and `?status=`.
    fn read(query: &mut Query<'_>) -> Result<Self, Noted> {
        let words = words(query);
        let statuses = statuses(query);
        Ok(match (words?, statuses?) {
            (None, None) => Self::Everybody,
            (None, Some(statuses)) => Self::Status(statuses),
            (Some(words), None) => Self::Words(words, InvitationStatus::ALL.to_vec()),
            (Some(words), Some(statuses)) => Self::Words(words, statuses),
        })
    }
}

/// The text of `?q=`; none if it is blank. API Gateway takes a comma in it for the end of a value.
fn words(query: &mut Query<'_>) -> Result<Option<Name>, Noted> {
    let text = query.all("q").join(",");
    if text.trim().is_empty() {
        return Ok(None);
    }
    let words: Result<Name, ValidationError> = text.parse();
    words
        .map(Some)
        .map_err(|ValidationError { code, detail }| query.note("q", code, detail))
}

/// The states of `?status=`, if it is there: joined by commas, or each with a parameter of its own.
fn statuses(query: &mut Query<'_>) -> Result<Option<Vec<InvitationStatus>>, Noted> {
    let given = query.all("status");
    if given.is_empty() {
        return Ok(None);
    }
    let texts = given.iter().flat_map(|text| text.split(','));
    let statuses: Option<Vec<_>> = texts.map(InvitationStatus::from_text).collect();
    statuses.map(Some).ok_or_else(|| {
        let all: Vec<_> = InvitationStatus::ALL.iter().map(|s| s.as_str()).collect();
        let detail = format!("must be one of {}, or several of them", all.join(", "));
        query.note("status", ErrorCode::NotAllowed, detail)
    })
}

/// The stored states that may show as one of some others, and when each does: an open invitation
/// shows as expired once its time is over. The three lists are in one order.
#[derive(Default)]
struct Stored {
    statuses: Vec<InvitationStatus>,
    /// Whether it shows as one of them until its time is over.
    before: Vec<bool>,
    /// Whether it shows as one of them afterwards.
    after: Vec<bool>,
}

impl Stored {
    /// Those that may show as one of these.
    fn of(shown: &[InvitationStatus]) -> Self {
        let mut stored = Self::default();
        for &status in InvitationStatus::ALL {
            let before = shown.contains(&status);
            let after = match status {
                InvitationStatus::Accepted | InvitationStatus::Revoked => before,
                _ => shown.contains(&InvitationStatus::Expired),
            };
            if before || after {
                stored.statuses.push(status);
                stored.before.push(before);
                stored.after.push(after);
            }
        }
        stored
    }
}

/// A page of the gym's athletes, the newest first.
///
/// $1 subject, $2 business, $3 and $4 position, $5 rows.
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
        ORDER BY created_at DESC, id DESC
        LIMIT $5
    ) AS athlete ON true
    ORDER BY athlete.created_at DESC, athlete.id DESC"
);

/// A page of the athletes with an invitation in some states. The first of each stored state are
/// read from an index, which has them in the roster's order.
///
/// $1 subject, $2 business, $3 and $4 position, $5 rows, $6 stored states, $7 whether each is asked
/// for before its time is over, $8 and afterwards.
///
/// No row: the gym is not the caller's. One row without an athlete: the page is empty.
const LIST_BY_STATUS: &str = concat!(
    "-- list_by_status
    SELECT athlete.*
    FROM gym_of($1, $2) AS gym LEFT JOIN LATERAL (
        SELECT ",
    roster_columns!(),
    " FROM (
            SELECT first.athlete_id
            FROM unnest($6, $7, $8) AS stored (status, before, after), LATERAL (
                SELECT athlete_id, registered_at FROM invitation
                WHERE business_id = gym.id AND is_current AND status = stored.status
                  AND (registered_at, athlete_id) < ($3, $4)
                  AND (stored.before AND expires_at > now() OR stored.after AND expires_at <= now())
                ORDER BY registered_at DESC, athlete_id DESC
                LIMIT $5
            ) AS first
            ORDER BY first.registered_at DESC, first.athlete_id DESC
            LIMIT $5
        ) AS found JOIN roster ON roster.id = found.athlete_id
    ) AS athlete ON true
    ORDER BY athlete.created_at DESC, athlete.id DESC"
);

/// A page of the athletes that a text finds. The index of words is read first, whatever else is
/// asked for.
///
/// $1 subject, $2 business, $3 and $4 position, $5 rows, $6 states that are asked for, $7 text.
///
/// No row: the gym is not the caller's. One row without an athlete: the page is empty.
const LIST_BY_WORDS: &str = concat!(
    "-- list_by_words
    WITH named AS MATERIALIZED (
        SELECT athlete.id, athlete.created_at FROM athlete
        WHERE athlete.search @@ roster_query($2, $7) AND athlete.removed_at IS NULL
    ), found AS MATERIALIZED (
        SELECT named.id
        FROM named, LATERAL (
            SELECT status_now(status, expires_at) AS status FROM invitation
            WHERE athlete_id = named.id AND is_current
            LIMIT 1
        ) AS last
        WHERE (named.created_at, named.id) < ($3, $4) AND last.status = ANY ($6)
        ORDER BY named.created_at DESC, named.id DESC
        LIMIT $5
    )
    SELECT athlete.*
    FROM gym_of($1, $2) AS gym LEFT JOIN LATERAL (
        SELECT ",
    roster_columns!(),
    " FROM found JOIN roster ON roster.id = found.id
        WHERE roster.business_id = gym.id
    ) AS athlete ON true
    ORDER BY athlete.created_at DESC, athlete.id DESC"
);

/// Lists the gym's athletes, page by page.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let mut query = Query::of(request);
    let page = query.page();
    let filter = Filter::read(&mut query);
    let (page, filter) = query.finish(page.and_then(|page| Ok((page, filter?))))?;

    let who: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&business_id, Type::UUID)];
    let which = [who.as_slice(), &page.parameters()].concat();
    let rows = match &filter {
        Filter::Everybody => app.db.query(LIST_ATHLETES, &which).await?,
        Filter::Status(shown) => {
            let stored = Stored::of(shown);
            let states = [
                (&stored.statuses as _, Type::TEXT_ARRAY),
                (&stored.before as _, Type::BOOL_ARRAY),
                (&stored.after as _, Type::BOOL_ARRAY),
            ];
            let parameters = [which.as_slice(), &states].concat();
            app.db.query(LIST_BY_STATUS, &parameters).await?
        }
        Filter::Words(words, shown) => {
            let found = [(shown as _, Type::TEXT_ARRAY), (words as _, Type::TEXT)];
            let parameters = [which.as_slice(), &found].concat();
            app.db.query(LIST_BY_WORDS, &parameters).await?
        }
    };
    if rows.is_empty() {
        return Err(Problem::not_found("gym"));
    }
    let athletes = rows
        .iter()
        .filter(|row| row.get::<_, Option<Uuid>>("id").is_some())
        .map(|row| Athlete::from_row(row, &app.app_url))
        .collect();
    Ok(Response::ok(&List::new(&page, athletes, Athlete::position)))
}
