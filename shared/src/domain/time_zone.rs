use super::{ErrorCode, ValidationError, pasted};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::str::FromStr;

/// A longer name would be none of the IANA database.
const MAX_LENGTH: usize = 64;

/// The name of a time zone in the IANA database: `Europe/Rome`, or `UTC`.
///
/// By its form alone: the zones are those that the database knows, which does the sums with them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct TimeZone(String);

impl TimeZone {
    /// The error of a name that is in no database.
    pub const UNKNOWN: ValidationError = ValidationError::new(
        ErrorCode::TimeZoneInvalid,
        "must be a time zone of the IANA database like Europe/Rome, or UTC",
    );
}

impl FromStr for TimeZone {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = pasted::plain(text).into_owned();
        let mut parts = text.split('/');
        let is_area = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_uppercase())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
        };
        let has_form = text == "UTC" || text.contains('/') && parts.all(is_area);
        if has_form && text.len() <= MAX_LENGTH {
            Ok(Self(text))
        } else {
            Err(Self::UNKNOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_area_and_a_place() {
        for right in [
            "UTC",
            "Europe/Rome",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+3",
        ] {
            assert_eq!(right.parse::<TimeZone>().unwrap().0, right);
        }
        for wrong in [
            "",
            "CET",
            "+02:00",
            "europe/rome",
            "posix/Europe/Rome",
            "Europe/",
            "/Europe",
            "Europe/\nRome",
            "../Europe/Rome",
            "Europe/Rome'--",
            &format!("Europe/{}", "A".repeat(64)),
        ] {
            assert!(
                wrong.parse::<TimeZone>().is_err(),
                "{wrong:?} was taken for a time zone"
            );
        }
    }
}
