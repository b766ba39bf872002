use shared::{
    domain::Subject,
    platform::{
        auth::caller,
        db::{Parameter, Type},
        http::{Request, no_query, path_id},
        problem::Problem,
    },
};
use uuid::Uuid;

/// The athlete that a request is about, and the person who asks.
pub(crate) struct Target {
    pub(crate) subject: Subject,
    pub(crate) business_id: Uuid,
    pub(crate) athlete_id: Uuid,
}

impl Target {
    /// Reads the token and the path.
    pub(crate) fn of(request: &Request) -> Result<Self, Problem> {
        let subject = caller(request)?.subject;
        no_query(request)?;
        Ok(Self {
            subject,
            business_id: path_id(request, "business_id", "athlete")?,
            athlete_id: path_id(request, "athlete_id", "athlete")?,
        })
    }

    /// The parameters $1 subject, $2 business, $3 athlete.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 3] {
        [
            (&self.subject, Type::TEXT),
            (&self.business_id, Type::UUID),
            (&self.athlete_id, Type::UUID),
        ]
    }
}
