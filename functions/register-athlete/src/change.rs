use crate::{app::App, athlete::Athlete, target::Target};
use shared::{
    domain::{ErrorCode, Locale, Name},
    platform::{
        db::{QueryError, Transaction, Type},
        http::{Edit, Fields, Request, Response, body},
        problem::{Kind, Problem},
    },
};

/// The fields that change; the others stay as they are. A contact is corrected with a new
/// invitation.
struct Change {
    full_name: Edit<Name>,
    locale: Option<Locale>,
}

impl Change {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        if body.is_empty() {
            body.note("full_name", ErrorCode::Required, "is required, or locale");
        }
        let full_name = body.edit("full_name");
        let locale = body.optional("locale");
        body.finish(full_name.and_then(|full_name| {
            Ok(Self {
                full_name,
                locale: locale?,
            })
        }))
    }
}

/// $1 subject, $2 business, $3 athlete, $4 whether the name changes, $5 name, $6 locale.
///
/// No row: the athlete is not on the roster of a gym of the caller's.
const CHANGE_ATHLETE: &str = "-- change_athlete
    UPDATE athlete
    SET full_name = CASE WHEN $4 THEN $5 ELSE full_name END, locale = coalesce($6, locale)
    FROM gym_of($1, $2) AS gym
    WHERE athlete.id = $3 AND athlete.invited_by = gym.id AND athlete.removed_at IS NULL
    RETURNING athlete.id";

/// Changes the athlete's name or language. An invitation that is still to be sent has the new ones.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    let change = Change::read(body(request)?)?;

    match app
        .db
        .transaction(|tx| make(tx, app, &target, &change))
        .await
    {
        Ok(Some(athlete)) => Ok(Response::ok(&athlete)),
        Ok(None) => Err(Problem::not_found("athlete")),
        Err(error) if error.constraint() == Some("athlete_person_key") => Err(Problem::new(
            Kind::AlreadyRegistered,
            "Another athlete of your gym has this contact and this name; nothing was changed.",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The athlete as they are now; none where they are not on the roster of a gym of the caller's.
async fn make(
    tx: Transaction,
    app: &App,
    target: &Target,
    Change { full_name, locale }: &Change,
) -> Result<Option<Athlete>, QueryError> {
    let (is_renamed, full_name) = (full_name.is_change(), full_name.value());
    let parameters = [
        target.parameters().as_slice(),
        &[
            (&is_renamed as _, Type::BOOL),
            (&full_name, Type::TEXT),
            (locale, Type::TEXT),
        ],
    ]
    .concat();
    if tx.query_opt(CHANGE_ATHLETE, &parameters).await?.is_none() {
        return Ok(None);
    }
    Athlete::read(&tx, target.athlete_id, &app.app_url)
        .await
        .map(Some)
}
