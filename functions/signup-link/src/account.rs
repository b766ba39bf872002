use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{domain::LinkedVia, platform::db::Row};
use uuid::Uuid;

/// The caller, from their own row in `"user"`.
#[derive(Serialize)]
pub(crate) struct User {
    id: Uuid,
    email: Option<String>,
    full_name: Option<String>,
    avatar_url: Option<String>,
    created_at: Timestamp,
}

impl From<&Row> for User {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            email: row.get("email"),
            full_name: row.get("full_name"),
            avatar_url: row.get("avatar_url"),
            created_at: row.get("created_at"),
        }
    }
}

/// An athlete that an account is linked to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) athlete_id: Uuid,
    pub(crate) business: Gym,
    /// The proof that the account is this athlete.
    pub(crate) via: LinkedVia,
    pub(crate) linked_at: Timestamp,
}

/// The gym, as its athletes see it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Gym {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}
