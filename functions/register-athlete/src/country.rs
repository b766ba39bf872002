use crate::app::App;
use shared::{
    domain::{Country, Phone, Subject},
    platform::{db::Type, http::Fields, problem::Problem},
};
use uuid::Uuid;

/// $1 subject, $2 business.
///
/// No row: the gym is not the caller's.
const GYM_COUNTRY: &str = "-- gym_country
    SELECT business.country
    FROM gym_of($1, $2) AS gym JOIN business ON business.id = gym.id";

/// The country of the caller's gym, if it has said one: numbers in the national form are of this
/// country.
pub(crate) async fn gym_country(
    app: &App,
    subject: &Subject,
    business_id: Uuid,
    what: &'static str,
) -> Result<Option<Country>, Problem> {
    let gym = [(subject as _, Type::TEXT), (&business_id as _, Type::UUID)];
    let row = app.db.query_opt(GYM_COUNTRY, &gym).await?;
    Ok(row.ok_or_else(|| Problem::not_found(what))?.get("country"))
}

/// The country of the caller's gym, if the phone among the fields depends on it.
pub(crate) async fn country_of_phone(
    app: &App,
    subject: &Subject,
    business_id: Uuid,
    what: &'static str,
    fields: &Fields,
) -> Result<Option<Country>, Problem> {
    let phone = fields.text("phone").unwrap_or_default();
    let has_digits = phone.contains(|c: char| c.is_numeric());
    if has_digits && Phone::depends_on_country(phone) {
        gym_country(app, subject, business_id, what).await
    } else {
        Ok(None)
    }
}
