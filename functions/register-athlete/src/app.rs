use shared::{
    domain::AthleteCode,
    invitations::{AppUrl, delivery::InvitationSender, mail::MailConfig},
    platform::{
        config::{ConfigError, Variables, variables},
        db::{Db, DbConfig},
    },
};

/// The number of days for which an invitation is valid, unless `INVITATION_DAYS` says otherwise.
const INVITATION_DAYS: i32 = 30;

/// The state of the function. It is made once for the life of an environment.
pub struct App {
    pub db: Db,
    /// The address of the app, into which codes are typed.
    pub app_url: AppUrl,
    pub sender: InvitationSender,
    /// The number of days for which an invitation is valid.
    pub invitation_days: i32,
    /// Draws the athletes' codes; tests draw the same one twice.
    pub draw_code: fn() -> AthleteCode,
}

impl App {
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// Makes the state from variables that need not be those of the process, as in tests.
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
            app_url: mail.app_url.clone(),
            sender: InvitationSender::new(mail, &aws),
            invitation_days,
            draw_code: AthleteCode::draw,
        })
    }
}
