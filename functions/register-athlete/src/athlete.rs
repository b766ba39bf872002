use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Locale},
    platform::{db::Row, http::Position},
};
use uuid::Uuid;

/// An athlete as the owner of the gym sees them: a row of the view `roster`.
#[derive(Serialize)]
pub(crate) struct Athlete {
    pub(crate) id: Uuid,
    business_id: Uuid,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) locale: Locale,
    pub(crate) athlete_code: AthleteCode,
    linked: bool,
    linked_at: Option<Timestamp>,
    created_at: Timestamp,
    pub(crate) invitation: Invitation,
}

/// The athlete's last invitation.
#[derive(Serialize)]
pub(crate) struct Invitation {
    #[serde(skip)]
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) channel: String,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_error: Option<String>,
}

impl Athlete {
    pub(crate) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

impl From<&Row> for Athlete {
    fn from(row: &Row) -> Self {
        let linked_at: Option<Timestamp> = row.get("linked_at");
        Self {
            id: row.get("id"),
            business_id: row.get("business_id"),
            email: row.get("email"),
            phone: row.get("phone"),
            full_name: row.get("full_name"),
            locale: row.get("locale"),
            athlete_code: row.get("athlete_code"),
            linked: linked_at.is_some(),
            linked_at,
            created_at: row.get("created_at"),
            invitation: Invitation {
                id: row.get("invitation_id"),
                status: row.get("invitation_status"),
                channel: row.get("invitation_channel"),
                sent_at: row.get("invitation_sent_at"),
                expires_at: row.get("invitation_expires_at"),
                last_error: row.get("invitation_last_error"),
            },
        }
    }
}
