use super::{ErrorCode, ValidationError};
use email_address::{EmailAddress, Options};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Octets an address may have, from the longest path SMTP allows (RFC 5321, section 4.5.3.1.3; RFC 3696, erratum 1690).
const MAX_LENGTH: usize = 254;

/// A mail address that SES can send to, in lower case.
///
/// Lower case throughout: no mailbox provider of note tells `Ada@` from `ada@`, and people type both.
#[derive(Clone, PartialEq, Eq, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Email(String);

impl Email {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = ValidationError;

    /// Reads an address; spaces around it are a slip and are dropped.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = text.trim_matches(' ');
        if text.len() > MAX_LENGTH {
            return Err(ValidationError::new(
                ErrorCode::TooLong,
                "must be at most 254 characters",
            ));
        }
        // SES takes no other characters in the local part; a domain with others has its ASCII form (RFC 5891).
        // A quoted local part may hold spaces and line breaks, and nobody has one.
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        {
            return Err(ValidationError::new(
                ErrorCode::EmailInvalid,
                "must be plain ASCII, without spaces, quotes or control characters",
            ));
        }
        // Mail software decodes it, and may find another address in it; none may have one (RFC 2047, section 5).
        if text.contains("=?") {
            return Err(ValidationError::new(
                ErrorCode::EmailInvalid,
                "must not contain an encoded word: =?",
            ));
        }
        let options = Options::default()
            .with_required_tld()
            .without_domain_literal()
            .without_display_text();
        EmailAddress::parse_with_options(text, options)
            .ok()
            .filter(|address| is_host_name(address.domain()))
            .ok_or(ValidationError::new(
                ErrorCode::EmailInvalid,
                "must be a mail address like ada@example.org",
            ))?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Whether every label is letters, digits and hyphens (RFC 952, RFC 1123 section 2.1), and the last one no number: else it would
/// be an address of the network.
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    domain.split('.').all(is_label) && !domain.split('.').next_back().is_none_or(is_number)
}

/// An address is personal: it is not for logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_lower_case_and_trimmed() {
        assert_eq!(
            " Ada.Lovelace+gym@Example.ORG "
                .parse::<Email>()
                .unwrap()
                .as_str(),
            "ada.lovelace+gym@example.org"
        );
    }

    #[test]
    fn what_ses_could_not_send_to_is_refused() {
        let too_long = format!("{}@{}.org", "a".repeat(60), "b".repeat(300));
        let local_too_long = format!("{}@example.org", "a".repeat(65));
        for wrong in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "ada@127.0.0.1",
            "ada@example.123",
            "ada@exa%mple.org",
            "ada@exa_mple.org",
            "a..b@example.org",
            ".a@example.org",
            "ada@example..org",
            "ada@-example.org",
            "ada@[127.0.0.1]",
            "Ada <ada@example.org>",
            "ada@example.org\r\nBcc: eve@example.org",
            "ada\0@example.org",
            "a da@example.org",
            "\"a da\"@example.org",
            "ada@exämple.org",
            "ädä@example.org",
            "ada@example.org,eve@example.org",
            "=?utf-8?q?eve=40evil.example=3e?=@example.org",
            &too_long,
            &local_too_long,
        ] {
            assert!(
                wrong.parse::<Email>().is_err(),
                "{wrong:?} was taken for an address"
            );
        }
    }

    #[test]
    fn debug_output_does_not_show_it() {
        assert_eq!(
            format!("{:?}", "ada@example.org".parse::<Email>().unwrap()),
            "Email(…)"
        );
    }
}
