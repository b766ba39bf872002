use shared::{
    domain::AthleteCode,
    invitations::{delivery::InvitationSender, mail::MailConfig},
    platform::{
        config::{ConfigError, Variables, variables},
        db::{Db, DbConfig},
    },
};

/// Days an invitation is good for, unless `INVITATION_DAYS` says otherwise.
const INVITATION_DAYS: i32 = 30;

/// What the function works with. It is made once for an environment's life.
pub struct App {
    /// The database.
    pub db: Db,
    /// Sends the invitations.
    pub sender: InvitationSender,
    /// Days an invitation is good for.
    pub invitation_days: i32,
    /// Draws the athletes' codes.
    pub draw_code: fn() -> AthleteCode,
}

impl App {
    /// From the environment variables.
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// From variables that are found otherwise.
    pub async fn from_variables(
        mut variables: Variables<impl Fn(&str) -> Option<String>>,
    ) -> Result<Self, ConfigError> {
        let db = DbConfig::from_variables(&mut variables);
        let mail = MailConfig::from_variables(&mut variables);
        let invitation_days = variables
            .optional("INVITATION_DAYS")
            .unwrap_or(INVITATION_DAYS);
        let (db, mail) = variables.finish(db.zip(mail))?;

        let aws = shared::platform::aws::config().await;
        Ok(Self {
            db: Db::open(db, &aws).await?,
            sender: InvitationSender::new(mail, &aws),
            invitation_days,
            draw_code: AthleteCode::draw,
        })
    }
}
