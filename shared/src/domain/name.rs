use super::{
    ErrorCode, ValidationError,
    pasted::{self, is_invisible, reorders_text},
};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Characters a name may have.
const MAX_LENGTH: usize = 120;

/// What a person, a gym or a workout is called: 1 to 120 characters of any script, on one line.
#[derive(Clone, PartialEq, Eq, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Name(String);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ValidationError;

    /// Reads a name as it is typed or pasted.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = pasted::line(text);
        if text.chars().all(is_invisible) {
            return Err(ValidationError::new(
                ErrorCode::Required,
                "must not be empty",
            ));
        }
        if text.chars().count() > MAX_LENGTH {
            return Err(ValidationError::new(
                ErrorCode::TooLong,
                "must be at most 120 characters",
            ));
        }
        if text
            .chars()
            .any(|c| c.is_control() || ends_a_line(c) || reorders_text(c))
        {
            return Err(ValidationError::new(
                ErrorCode::ForbiddenCharacters,
                "must not contain line breaks, control characters or characters that reorder text",
            ));
        }
        Ok(Self(text.into_owned()))
    }
}

/// U+2028 and U+2029 are line breaks without being control characters.
fn ends_a_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// A name is personal: it is not for logs.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_script_is_a_name() {
        for name in [
            "Zoë",
            "李小龍",
            "محمد علي",
            "דוד\u{200F}בן",
            "ന്\u{200D}",
            "O'Connor",
            "Robert'); DROP TABLE athlete;--",
            "<b>Gym</b> & Söhne",
            "💪 24/7",
        ] {
            assert_eq!(format!(" {name}\n").parse::<Name>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_would_break_a_line_or_pass_for_another_is_refused() {
        for wrong in [
            "",
            " \t ",
            "\u{200B}\u{FEFF}",
            "\u{3164} \u{2800}",
            "a\nb",
            "a\r\nBcc: x",
            "a\0b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{202E}b",
            "a\u{2066}b",
            &"x".repeat(121),
            &"x".repeat(10_000),
        ] {
            assert!(
                wrong.parse::<Name>().is_err(),
                "{wrong:?} was taken for a name"
            );
        }
        assert!("é".repeat(120).parse::<Name>().is_ok());
    }
}
