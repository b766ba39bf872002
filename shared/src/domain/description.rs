use super::{
    ErrorCode, ValidationError,
    pasted::{self, is_invisible, reorders_text},
};
use postgres_types::ToSql;
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Characters a description may have.
const MAX_LENGTH: usize = 10_000;

/// What a workout consists of, in its author's words: 1 to 10,000 characters of any script, on any
/// number of lines.
#[derive(Clone, PartialEq, Eq, Serialize, ToSql)]
#[postgres(transparent)]
pub struct Description(String);

impl Description {
    /// The description.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = ValidationError;

    /// Reads a description; white space and marks around it are dropped, and every line break
    /// becomes a line feed.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = pasted::trimmed(text)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        if text.chars().all(is_invisible) {
            return Err(ValidationError::new(
                ErrorCode::Required,
                "must not be empty; null stands for no description",
            ));
        }
        if text.chars().count() > MAX_LENGTH {
            return Err(ValidationError::new(
                ErrorCode::TooLong,
                "must be at most 10,000 characters",
            ));
        }
        let is_forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        if text.chars().any(|c| is_forbidden(c) || reorders_text(c)) {
            return Err(ValidationError::new(
                ErrorCode::ForbiddenCharacters,
                "must not contain control characters or characters that reorder text",
            ));
        }
        Ok(Self(text))
    }
}

/// What people write to each other is not for logs.
impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Description(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_script_are_kept() {
        for (text, kept) in [
            ("3 × 10 squats\n\n\t- slow\n", "3 × 10 squats\n\n\t- slow"),
            ("one\r\ntwo\rthree", "one\ntwo\nthree"),
            ("جلسة\nتمرين", "جلسة\nتمرين"),
            ("<b>&amp;</b> '); --", "<b>&amp;</b> '); --"),
        ] {
            assert_eq!(text.parse::<Description>().unwrap().as_str(), kept);
        }
        assert!("é".repeat(10_000).parse::<Description>().is_ok());
    }

    #[test]
    fn empty_overlong_and_hostile_texts_are_refused() {
        for (wrong, code) in [
            ("", ErrorCode::Required),
            (" \r\n\t", ErrorCode::Required),
            ("\u{200B}", ErrorCode::Required),
            (&"x".repeat(10_001), ErrorCode::TooLong),
            ("a\0b", ErrorCode::ForbiddenCharacters),
            ("a\u{1B}[2Jb", ErrorCode::ForbiddenCharacters),
            ("a\u{202E}b", ErrorCode::ForbiddenCharacters),
        ] {
            assert_eq!(wrong.parse::<Description>().unwrap_err().code, code);
        }
    }
}
