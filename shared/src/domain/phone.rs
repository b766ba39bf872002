use super::{ErrorCode, ValidationError};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::{fmt, str::FromStr};

/// A telephone number in E.164: `+`, the country code and the number, 7 to 15 digits (ITU-T E.164, section 6).
#[derive(Clone, PartialEq, Eq, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Phone(String);

impl Phone {
    /// The number, with its `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Phone {
    type Err = ValidationError;

    /// Reads a number; spaces, hyphens, dots and brackets, as people write them, are dropped.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        const FORM: ValidationError = ValidationError::new(
            ErrorCode::PhoneWithoutCountry,
            "must be a number with its country code (E.164), like +39 333 123 4567",
        );

        let number: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
            .take(17)
            .collect();
        let digits = number.strip_prefix('+').ok_or(FORM)?;
        let form_is_right = (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if form_is_right {
            Ok(Self(number))
        } else {
            Err(FORM)
        }
    }
}

/// A number is personal: it is not for logs.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kept_without_what_people_write_between() {
        assert_eq!(
            "+39 (333) 123-45.67".parse::<Phone>().unwrap().as_str(),
            "+393331234567"
        );
    }

    #[test]
    fn what_is_not_e164_is_refused() {
        for wrong in [
            "",
            "+",
            "3331234567",
            "003933312345",
            "+0393331234567",
            "+391234",
            "+1234567890123456",
            "+39a331234567",
            "+39\u{661}331234567",
            "+39333\u{0}1234567",
        ] {
            assert!(
                wrong.parse::<Phone>().is_err(),
                "{wrong:?} was taken for a number"
            );
        }
    }
}
