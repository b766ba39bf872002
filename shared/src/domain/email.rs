mod typo;

use super::{ErrorCode, ValidationError, pasted};
use email_address::{EmailAddress, Options};
use idna::{AsciiDenyList, domain_to_ascii_cow};
use postgres_types::{FromSql, ToSql};
use serde::Serialize;
use std::{borrow::Cow, fmt, str::FromStr};

/// Octets an address may have, from the longest path SMTP allows (RFC 5321, section 4.5.3.1.3; RFC
/// 3696, erratum 1690).
const MAX_LENGTH: usize = 254;

/// A mail address that SES can send to, in lower case.
///
/// Lower case throughout: no mailbox provider of note tells `Ada@` from `ada@`, and people type
/// both.
#[derive(Clone, PartialEq, Eq, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Email(String);

impl Email {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address that is probably meant, where the domain looks like a mistyped one of a provider
    /// that many people have.
    #[must_use]
    pub fn likely_meant(&self) -> Option<Self> {
        let (local_part, domain) = self.0.rsplit_once('@')?;
        let domain = typo::meant(domain)?;
        Some(Self(format!("{local_part}@{domain}")))
    }
}

impl Email {
    /// Reads the address of a token, from which nothing is taken off: what was verified is this
    /// text. Only a domain of another script becomes its ASCII form.
    pub fn exact(text: &str) -> Result<Self, ValidationError> {
        let is_exact = pasted::plain(text) == text && without_wrapping(text) == text;
        if is_exact { text.parse() } else { Err(FORM) }
    }
}

const FORM: ValidationError = ValidationError::new(
    ErrorCode::EmailInvalid,
    "must be a mail address like ada@example.org",
);

impl FromStr for Email {
    type Err = ValidationError;

    /// Reads an address as it is typed or pasted: also a link to write to it, or with a name before
    /// it. The domain of another script becomes its ASCII form (RFC 5891).
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let text = pasted::plain(text);
        let text = without_wrapping(&text);
        if text.matches('@').count() > 1 && text.contains([',', ';', ' ', '/']) {
            return Err(ValidationError::new(
                ErrorCode::EmailSeveral,
                "must be one address, and there are several",
            ));
        }
        let (local_part, domain) = text.rsplit_once('@').ok_or(FORM)?;
        // SES takes no other characters in the local part. A quoted one may hold spaces and line
        // breaks, and nobody has one.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        if !local_part.bytes().all(is_plain) {
            return Err(ValidationError::new(
                ErrorCode::EmailInvalid,
                "must have only plain letters, digits and signs before the @: no accents, spaces or quotes",
            ));
        }
        let domain = if domain.is_ascii() {
            Cow::Borrowed(domain)
        } else {
            let deny = AsciiDenyList::URL;
            domain_to_ascii_cow(domain.as_bytes(), deny).map_err(|_| FORM)?
        };
        let text = format!("{local_part}@{domain}");
        if text.len() > MAX_LENGTH {
            return Err(ValidationError::new(
                ErrorCode::TooLong,
                "must be at most 254 characters",
            ));
        }
        if !text.bytes().all(is_plain) {
            return Err(FORM);
        }
        // Mail software decodes it, and may find another address in it; none may have one (RFC
        // 2047, section 5).
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
        EmailAddress::parse_with_options(&text, options)
            .ok()
            .filter(|address| is_host_name(address.domain()))
            .ok_or(FORM)?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The address of `mailto:…`, of `<…>`, of `Ada Novak <…>`, and without the comma or semicolon that
/// ends it in a list.
fn without_wrapping(text: &str) -> &str {
    let mut address = text.trim_end_matches([',', ';', '.', ' ']);
    if let Some((before, rest)) = address.split_once('<')
        && let Some(inside) = rest.strip_suffix('>')
        && !before.contains(['@', '\n', '\r'])
        && !inside.contains(['<', '>'])
    {
        address = inside.trim();
    }
    let scheme = address.get(.."mailto:".len());
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:")) {
        let link = &address["mailto:".len()..];
        address = link.split('?').next().unwrap_or_default().trim();
    }
    address
}

/// Whether every label is letters, digits and hyphens (RFC 952, RFC 1123 section 2.1), and the last
/// one no number: else it would be an address of the network.
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
    fn what_is_pasted_with_an_address_is_dropped() {
        for pasted in [
            "ada@example.org\r\n",
            "\tada@example.org\u{A0}",
            "\u{FEFF}ada@example.org\u{200B}",
            "ada@exam\u{AD}ple.\u{200B}org",
            "\u{202A}ada@example.org\u{202C}",
            "mailto:ada@example.org",
            "MAILTO:Ada@example.org?subject=Hello",
            "<ada@example.org>",
            "<mailto:ada@example.org>",
            "Ada Novak <ada@example.org>",
            "\"Novak, Ada\" <ada@example.org>;",
            "'ada@example.org'",
            "\u{201C}ada@example.org\u{201D}",
            "ada@example.org;",
            "ada\u{FF20}example.org",
        ] {
            let email = pasted.parse::<Email>();
            assert_eq!(
                email.as_ref().map(Email::as_str),
                Ok("ada@example.org"),
                "{pasted:?}"
            );
        }
    }

    #[test]
    fn nothing_is_taken_off_the_address_of_a_token() {
        for right in ["Ada@example.org", "ada@müller.example"] {
            assert!(Email::exact(right).is_ok(), "{right}");
        }
        for wrong in [
            "ada@example.org ",
            "<ada@example.org>",
            "Ada <ada@example.org>",
            "ada@example.org.",
            "mailto:ada@example.org",
            "ada\u{200B}@example.org",
        ] {
            assert!(Email::exact(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_domain_of_another_script_becomes_ascii() {
        for (typed, ascii) in [
            ("q@müller.example", "q@xn--mller-kva.example"),
            ("q@MÜLLER.example", "q@xn--mller-kva.example"),
            ("q@mu\u{308}ller.example", "q@xn--mller-kva.example"),
            ("q@xn--mller-kva.example", "q@xn--mller-kva.example"),
            ("q@例え。テスト", "q@xn--r8jz45g.xn--zckzah"),
        ] {
            let email = typed.parse::<Email>();
            assert_eq!(email.as_ref().map(Email::as_str), Ok(ascii), "{typed:?}");
        }
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
            "Ada <ada@example.org> Bob",
            "ada@example.org, bob@example.org",
            "Ada <ada@example.org>, Bob <bob@example.org>",
            "bob@example.org <ada@example.org>",
            "Ada\n<ada@example.org>",
            "mailto:",
            "<>",
            "ada@example.org\r\nBcc: eve@example.org",
            "ada\0@example.org",
            "a da@example.org",
            "\"a da\"@example.org",
            "ada@exä mple.org",
            "ada@exämple",
            "ada@ex\u{2024}\u{202E}ample.org",
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
