//! What becomes of each athlete of an import, from those who are on the roster and those before it.

use crate::{
    app::App,
    athlete::Athlete,
    registration::{Registration, is_one_person},
};
use shared::{domain::Email, platform::db::Row};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What is done for an athlete, or would be.
pub(super) enum Decision {
    /// They are registered; the athlete is none where they would be.
    Create {
        /// Whether somebody else has the contact.
        shares_contact: bool,
        athlete: Option<Box<Athlete>>,
    },
    /// The athlete is known by their phone alone, and gets an address.
    AddEmail {
        shares_contact: bool,
        athlete: Box<Athlete>,
    },
    /// They are registered already.
    Known(Box<Athlete>),
    /// Somebody else has the contact; the athlete, if the contact and another name are theirs.
    InUse(Option<Box<Athlete>>),
}

impl Decision {
    /// Whether something is written.
    pub(super) fn is_change(&self) -> bool {
        match self {
            Self::Create { athlete, .. } => athlete.is_none(),
            Self::AddEmail { .. } => true,
            Self::Known(_) | Self::InUse(_) => false,
        }
    }

    /// Whether somebody is invited by it.
    pub(super) fn invites(&self) -> bool {
        match self {
            Self::Create { .. } => true,
            Self::AddEmail { athlete, .. } => !athlete.is_linked(),
            Self::Known(_) | Self::InUse(_) => false,
        }
    }
}

/// An athlete on the roster with the contact that was given.
pub(super) struct Found {
    athlete: Box<Athlete>,
    /// Whether the name is the one that was given, if there are two to compare.
    has_the_name: Option<bool>,
    /// Whether somebody on the roster, this athlete or another one, is written to at the contact
    /// that was given.
    someone_is_written_to: bool,
}

impl Found {
    pub(super) fn from_row(row: &Row, app: &App) -> Self {
        Self {
            athlete: Box::new(Athlete::from_row(row, &app.app_url)),
            has_the_name: row.get("has_the_name"),
            someone_is_written_to: row.get::<_, Option<bool>>("someone_is_written_to")
                == Some(true),
        }
    }
}

/// What is decided for the athletes before.
#[derive(Default)]
pub(super) struct SoFar {
    /// The contacts to which somebody is written.
    written_to: HashSet<String>,
    /// The addresses that athletes get.
    addresses: HashMap<Uuid, Email>,
}

impl SoFar {
    /// What becomes of the athlete with this id, who would be the athlete that was found.
    pub(super) fn decide(
        &mut self,
        id: Uuid,
        registration: &Registration,
        found: Option<Found>,
        shared_contacts: bool,
    ) -> Decision {
        let someone_is_written_to = found
            .as_ref()
            .is_some_and(|found| found.someone_is_written_to);
        // Somebody who has got another address by now is not who is meant.
        let found = found.filter(|found| {
            let added = self.addresses.get(&found.athlete.id);
            added.is_none_or(|added| {
                registration
                    .contact
                    .email
                    .as_ref()
                    .is_none_or(|e| e == added)
            })
        });
        let shares = |so_far: &mut Self| {
            let is_first = so_far.written_to.insert(registration.contact.key());
            someone_is_written_to || !is_first
        };
        let Some(found) = found else {
            return Decision::Create {
                shares_contact: shares(self),
                athlete: None,
            };
        };
        // This transaction was carried out before, and its connection died.
        if found.athlete.id == id {
            return Decision::Create {
                shares_contact: found.athlete.contact_is_shared,
                athlete: Some(found.athlete),
            };
        }
        let has_name = registration.full_name.is_some();
        if is_one_person(found.has_the_name, has_name, shared_contacts) {
            match &registration.contact.email {
                Some(email) if found.athlete.email.is_none() => {
                    if self.addresses.contains_key(&found.athlete.id) {
                        return Decision::Known(found.athlete);
                    }
                    let shares_contact = shares(self);
                    if shares_contact && !shared_contacts {
                        return Decision::InUse(None);
                    }
                    self.addresses.insert(found.athlete.id, email.clone());
                    Decision::AddEmail {
                        shares_contact,
                        athlete: found.athlete,
                    }
                }
                _ => Decision::Known(found.athlete),
            }
        } else if shared_contacts {
            Decision::Create {
                shares_contact: shares(self),
                athlete: None,
            }
        } else {
            Decision::InUse(Some(found.athlete))
        }
    }
}
