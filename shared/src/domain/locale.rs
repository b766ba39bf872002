use super::{ErrorCode, ValidationError, pasted};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::str::FromStr;

/// The language of somebody's messages: a BCP 47 tag such as `it` or `pt-BR` (RFC 5646, the
/// language-script-region part).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Locale(String);

impl Locale {
    /// The language alone: `it` of `it-CH`.
    #[must_use]
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl Default for Locale {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl FromStr for Locale {
    type Err = ValidationError;

    /// Reads a tag as it is typed or pasted; programs also write it with underscores.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = pasted::plain(text).replace('_', "-");
        let mut subtags = text.split('-');
        let language_is_right = subtags.next().is_some_and(|tag| {
            (2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic())
        });
        let others_are_right = text.len() <= 12
            && subtags.all(|tag| {
                (2..=4).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if language_is_right && others_are_right {
            Ok(Self(text))
        } else {
            Err(ValidationError::new(
                ErrorCode::LocaleInvalid,
                "must be a language such as it, en or pt-BR (a BCP 47 tag)",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_accepted_and_other_texts_refused() {
        for right in ["en", "it", "it-IT", "zh-Hant-TW", "es-419"] {
            assert_eq!(right.parse::<Locale>().unwrap().0, right);
        }
        for pasted in ["it_IT", " it-IT\n", "it\u{2011}IT\u{200B}"] {
            assert_eq!(pasted.parse::<Locale>().unwrap().0, "it-IT");
        }
        for wrong in [
            "",
            "e",
            "italian",
            "it-",
            "12",
            "it-\nIT",
            "../it",
            "en-x-very-long-tag",
        ] {
            assert!(
                wrong.parse::<Locale>().is_err(),
                "{wrong:?} was taken for a language"
            );
        }
    }
}
