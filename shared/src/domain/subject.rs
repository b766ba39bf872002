use super::{ErrorCode, ValidationError};
use postgres_types::ToSql;
use std::{fmt, str::FromStr};

/// The largest number of characters of a subject (OpenID Connect Core 1.0, section 2, `sub`: 255
/// ASCII characters).
const MAX_LENGTH: usize = 255;

/// The subject (`sub`) of a token: the name of an account at the identity provider. It is any text,
/// as `auth0|5f7c8ec7c33c6c004bbafe82` or a UUID, and its case matters.
#[derive(Clone, PartialEq, Eq, ToSql)]
#[postgres(transparent)]
pub struct Subject(String);

impl Subject {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let length = text.chars().count();
        if (1..=MAX_LENGTH).contains(&length) && !text.contains('\0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValidationError::new(
                ErrorCode::TooLong,
                "must be 1 to 255 characters",
            ))
        }
    }
}

/// Hides the subject: it identifies a person, and must not be in logs.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}
