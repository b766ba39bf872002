//! What a text is once it has been checked. Past the boundary no raw `String` stands for one of these: each has a private
//! field and one fallible way in, `FromStr`, whose error is the sentence the client reads.

mod athlete_code;
mod closed_set;
mod email;
mod invitation;
pub mod limits;
mod locale;
mod name;
mod phone;

pub use athlete_code::AthleteCode;
pub use email::Email;
pub use invitation::{AttemptOutcome, Channel, InvitationStatus, LinkedVia};
pub use locale::Locale;
pub use name::Name;
pub use phone::Phone;

/// What is wrong with a text, in words for the person who sent it. It never repeats what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidationError(pub &'static str);

impl std::fmt::Display for ValidationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
