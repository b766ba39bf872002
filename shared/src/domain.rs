//! Checked texts, closed sets and limits. Past the boundary no raw `String` stands for a checked
//! text: each type has a private field and one fallible constructor, `FromStr`, whose error is a
//! code and the sentence that the client reads.

mod athlete_code;
mod closed_set;
mod country;
mod description;
mod email;
mod error_code;
mod invitation;
pub mod limits;
mod locale;
mod name;
pub mod pasted;
mod phone;
mod subject;
mod time_zone;

pub use athlete_code::AthleteCode;
pub use country::Country;
pub use description::Description;
pub use email::Email;
pub use error_code::ErrorCode;
pub use invitation::{AttemptOutcome, Channel, InvitationStatus, LinkedVia, RemovedBy};
pub use locale::Locale;
pub use name::Name;
pub use phone::Phone;
pub use subject::Subject;
pub use time_zone::TimeZone;

/// The error of a text, in words for the person who sent it. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ValidationError {
    pub code: ErrorCode,
    /// The sentence that the client reads, after the name of the field.
    pub detail: &'static str,
}

impl ValidationError {
    #[must_use]
    pub const fn new(code: ErrorCode, detail: &'static str) -> Self {
        Self { code, detail }
    }
}
