use crate::business::{Business, business_columns, check_time_zone};
use shared::{
    domain::{Country, Locale, Name, TimeZone},
    platform::{
        App,
        auth::caller,
        db::Type,
        http::{Fields, Request, Response, body, idempotency_key, no_query},
        problem::Problem,
    },
};

struct Opening {
    name: Name,
    locale: Option<Locale>,
    country: Option<Country>,
    time_zone: Option<TimeZone>,
}

impl Opening {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.required("name");
        let locale = body.optional("locale");
        let country = body.optional("country");
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

/// Creates a gym. A statement that is sent again has the same id, and gives the same gym.
///
/// $1 to $6 the caller, $7 id, $8 name, $9 locale, $10 country, $11 time zone.
const OPEN_BUSINESS: &str = concat!(
    "-- open_business
    INSERT INTO business (id, user_id, name, locale, country, time_zone)
    SELECT $7, caller.id, $8, coalesce($9, 'en'), $10, coalesce($11, 'UTC')
    FROM sign_in($1, $2, $3, $4, $5, $6) AS caller
    ON CONFLICT (id) DO UPDATE SET id = business.id WHERE business.user_id = excluded.user_id
    RETURNING ",
    business_columns!()
);

/// Opens a gym, whose owner the caller becomes.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let id = idempotency_key(request, &caller)?;
    let Opening {
        name,
        locale,
        country,
        time_zone,
    } = Opening::read(body(request)?)?;
    check_time_zone(app, time_zone.as_ref()).await?;

    let parameters = [
        caller.parameters().as_slice(),
        &[
            (&id, Type::UUID),
            (&name, Type::TEXT),
            (&locale, Type::TEXT),
            (&country, Type::TEXT),
            (&time_zone, Type::TEXT),
        ],
    ]
    .concat();
    let row = app.db.query_one(OPEN_BUSINESS, &parameters).await?;
    let location = format!("/businesses/{id}");
    Ok(Response::created(&location, &Business::from(&row)))
}
