use crate::business::{Business, business_columns, check_time_zone};
use shared::{
    domain::{Country, ErrorCode, Locale, Name, TimeZone},
    platform::{
        App,
        auth::caller,
        db::{Parameter, Type},
        http::{Edit, Fields, Request, Response, body, no_query, path_id},
        problem::Problem,
    },
};

/// The fields that change; the others stay as they are.
struct Change {
    name: Option<Name>,
    locale: Option<Locale>,
    country: Edit<Country>,
    time_zone: Option<TimeZone>,
}

impl Change {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        if body.is_empty() {
            body.note("name", ErrorCode::Required, "is required, or another field");
        }
        let name = body.optional("name");
        let locale = body.optional("locale");
        let country = body.edit("country");
        let time_zone = body.optional("time_zone");
        body.finish(name.and_then(|name| {
            Ok(Self {
                name,
                locale: locale?,
                country: country?,
                time_zone: time_zone?,
            })
        }))
    }
}

/// $1 subject, $2 business, $3 name, $4 locale, $5 whether the country changes, $6 country, $7 time
/// zone.
///
/// No row: the gym is not the caller's.
const CHANGE_BUSINESS: &str = concat!(
    "-- change_business
    UPDATE business
    SET name = coalesce($3, business.name),
        locale = coalesce($4, business.locale),
        country = CASE WHEN $5 THEN $6 ELSE business.country END,
        time_zone = coalesce($7, business.time_zone)
    FROM gym_of($1, $2) AS gym
    WHERE business.id = gym.id AND business.closed_at IS NULL
    RETURNING ",
    business_columns!()
);

/// Changes a gym. Earlier invitations keep their end.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let change = Change::read(body(request)?)?;
    check_time_zone(app, change.time_zone.as_ref()).await?;

    let parameters: [Parameter<'_>; 7] = [
        (&caller.subject, Type::TEXT),
        (&business_id, Type::UUID),
        (&change.name, Type::TEXT),
        (&change.locale, Type::TEXT),
        (&change.country.is_change(), Type::BOOL),
        (&change.country.value(), Type::TEXT),
        (&change.time_zone, Type::TEXT),
    ];
    let row = app.db.query_opt(CHANGE_BUSINESS, &parameters).await?;
    let row = row.ok_or_else(|| Problem::not_found("gym"))?;
    Ok(Response::ok(&Business::from(&row)))
}
