use super::{Country, ErrorCode, ValidationError, pasted};
use postgres_types::{FromSql, ToSql};
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, Region,
};
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Characters that are read: more than any number has, with all that people write between and
/// before it.
const MAX_LENGTH: usize = 60;

/// A telephone number in E.164: `+`, the country code and the number, 7 to 15 digits (ITU-T E.164,
/// section 6).
#[derive(Clone, PartialEq, Eq, Serialize, ToSql, FromSql)]
#[postgres(transparent)]
pub struct Phone(String);

impl Phone {
    /// The number, with its `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a number may be read otherwise in another country: it has no `+`.
    #[must_use]
    pub fn depends_on_country(text: &str) -> bool {
        !pasted::plain(text).contains('+')
    }

    /// Reads a number as it is typed or pasted, by the rules of libphonenumber: with its country
    /// code, or as it is dialled in this country. The rules are loaded when the first number is
    /// read.
    pub fn read(text: &str, country: Option<&Country>) -> Result<Self, ValidationError> {
        const NO_NUMBER: ValidationError = ValidationError::new(
            ErrorCode::PhoneInvalid,
            "must be a telephone number like +39 333 123 4567",
        );
        const NO_COUNTRY: ValidationError = ValidationError::new(
            ErrorCode::PhoneWithoutCountry,
            "has no country code: write it like +39 333 123 4567, where 39 stands for Italy",
        );

        let text = pasted::plain(text);
        let text = without_scheme(&text);
        if text.chars().count() > MAX_LENGTH || text.contains(char::is_control) {
            return Err(NO_NUMBER);
        }
        if is_destroyed(text) {
            return Err(ValidationError::new(
                ErrorCode::PhoneDestroyed,
                "was rounded by the spreadsheet, and its last digits are lost: format the column as text there, and type the \
                 number again",
            ));
        }
        if is_several(text) {
            return Err(ValidationError::new(
                ErrorCode::PhoneSeveral,
                "must be one number, and there are several",
            ));
        }
        let region = country.and_then(|country| country.as_str().parse::<Region>().ok());
        let is_possible = |number: &PhoneNumber| {
            number.is_possible_with_reason() == Ok(NumberLengthType::IsPossible)
        };
        let mut read = parse(text, region);
        if !read.as_ref().is_ok_and(is_possible)
            && let Some(rest) = text.strip_prefix("00")
        {
            // 00 is how most of the world writes the +, also somebody who dials something else for
            // it at home.
            read = parse(&format!("+{rest}"), None);
        }
        let is_national = !text.contains('+') && !text.starts_with("00");
        let number = match read {
            Ok(number) => number,
            Err(_) if is_national && region.is_none() && is_dialled(text) => {
                return Err(NO_COUNTRY);
            }
            Err(_) => return Err(NO_NUMBER),
        };
        if number
            .extension
            .as_ref()
            .is_some_and(|extension| !extension.is_empty())
        {
            return Err(ValidationError::new(
                ErrorCode::PhoneExtension,
                "has an extension, behind which nobody gets a text message: give a number without one",
            ));
        }
        // That it is possible is enough: ranges are given out before the rules know them.
        if !is_possible(&number) {
            return Err(ValidationError::new(
                ErrorCode::PhoneInvalid,
                "has too many or too few digits for a number of its country",
            ));
        }
        let number = number.format_as(PhoneNumberFormat::E164).into_owned();
        if is_e164(&number) {
            Ok(Self(number))
        } else {
            Err(NO_NUMBER)
        }
    }
}

impl FromStr for Phone {
    type Err = ValidationError;

    /// Reads a number that has its country code.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        Self::read(text, None)
    }
}

fn parse(text: &str, region: Option<Region>) -> Result<PhoneNumber, ParseError> {
    // Letters are no digits here: nobody is texted at 1-800-FLOWERS, and a note beside a number is
    // none of it.
    let is_extension = |c: char| "extEXT#xX;=".contains(c);
    if text.contains(|c: char| c.is_alphabetic() && !is_extension(c)) {
        return Err(ParseError::InvalidCountryCode);
    }
    PHONE_NUMBER_UTIL.parse(text, region)
}

/// The number of `tel:…`.
fn without_scheme(text: &str) -> &str {
    let text = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text);
    let scheme = text.get(.."tel:".len());
    let is_link = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    if is_link {
        text["tel:".len()..].trim()
    } else {
        text
    }
}

/// Whether it is a number as a spreadsheet shows one that is too long for it: `3.93338E+11`.
fn is_destroyed(text: &str) -> bool {
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| b"0123456789.,".contains(&byte));
    text.split_once(['E', 'e'])
        .is_some_and(|(mantissa, exponent)| {
            let mantissa = mantissa.trim_start_matches('+');
            is_number(mantissa) && exponent.strip_prefix('+').is_some_and(is_number)
        })
}

/// Whether there is more than one number: a second plus, or signs between two that are long enough.
fn is_several(text: &str) -> bool {
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    let numbers = text
        .split(['/', ',', ';', '|', '&'])
        .filter(|part| digits(part) >= 7);
    text.matches('+').count() > 1 || numbers.count() > 1
}

/// Whether it may be a number as it is dialled at home.
fn is_dialled(text: &str) -> bool {
    text.chars().filter(|c| c.is_numeric()).count() >= 4 && !text.contains(char::is_alphabetic)
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
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

    fn read(text: &str, country: &str) -> Result<String, ErrorCode> {
        let country: Option<Country> = country.parse().ok();
        let phone = Phone::read(text, country.as_ref());
        phone.map(|phone| phone.0).map_err(|error| error.code)
    }

    #[test]
    fn a_number_with_its_country_code_is_read_as_people_write_it() {
        for (text, number) in [
            ("+39 (333) 123-45.67", "+393331234567"),
            ("+44 (0)7700 900133", "+447700900133"),
            ("+39 (0)2 3661 8300", "+390236618300"),
            ("0039 333 765 4322", "+393337654322"),
            ("00 44 (0) 7700 900133", "+447700900133"),
            ("tel:+39-333-765-4322", "+393337654322"),
            ("\u{202A}+39 333 765 4322\u{202C}", "+393337654322"),
            ("+39\u{A0}333\u{A0}765\u{2011}4322", "+393337654322"),
            ("'+39 333 765 4322", "+393337654322"),
            ("(+39) 333 7654322", "+393337654322"),
            ("+39 333/7654322", "+393337654322"),
            ("＋39 333 765 4322", "+393337654322"),
            ("+1 (650) 253-0000", "+16502530000"),
            ("+49 301/23456", "+4930123456"),
        ] {
            assert_eq!(read(text, ""), Ok(number.to_owned()), "{text:?}");
            assert_eq!(read(text, "IT"), Ok(number.to_owned()), "{text:?} in Italy");
        }
    }

    #[test]
    fn a_number_without_one_is_read_as_it_is_dialled_in_the_gyms_country() {
        for (country, text, number) in [
            ("IT", "333 765 4322", "+393337654322"),
            ("IT", "02 3661 8300", "+390236618300"),
            ("IT", "393337654322", "+393337654322"),
            ("IT", "0039 333 765 4322", "+393337654322"),
            ("GB", "07700 900133", "+447700900133"),
            ("GB", "0039 333 765 4322", "+393337654322"),
            ("US", "(650) 253-0000", "+16502530000"),
            ("US", "011 39 333 765 4322", "+393337654322"),
            ("US", "0039 333 765 4322", "+393337654322"),
            ("DE", "0171 1234567", "+491711234567"),
            ("SM", "0549 886377", "+3780549886377"),
        ] {
            assert_eq!(
                read(text, country),
                Ok(number.to_owned()),
                "{text:?} in {country}"
            );
            if !text.starts_with("00") {
                assert_eq!(
                    read(text, ""),
                    Err(ErrorCode::PhoneWithoutCountry),
                    "{text:?}"
                );
            }
        }
        assert_eq!(read("123", "IT"), Err(ErrorCode::PhoneInvalid));
    }

    #[test]
    fn what_is_no_number_is_named() {
        use ErrorCode::{
            PhoneDestroyed, PhoneExtension, PhoneInvalid, PhoneSeveral, PhoneWithoutCountry,
        };
        for (wrong, code) in [
            ("", PhoneInvalid),
            ("+", PhoneInvalid),
            ("x", PhoneInvalid),
            ("none", PhoneInvalid),
            ("3331234567", PhoneWithoutCountry),
            ("+0393331234567", PhoneInvalid),
            ("+39123", PhoneInvalid),
            ("+1234567890123456", PhoneInvalid),
            ("+999 333 123 4567", PhoneInvalid),
            ("+39a331234567", PhoneInvalid),
            ("+39333\u{0}1234567", PhoneInvalid),
            ("+39 333\n1234567", PhoneInvalid),
            ("3.93338E+11", PhoneDestroyed),
            ("3,93338E+11", PhoneDestroyed),
            ("4E+11", PhoneDestroyed),
            ("+44 20 7031 3000 ext. 12", PhoneExtension),
            ("+44 20 7031 3000 x12", PhoneExtension),
            ("tel:+44-20-7031-3000;ext=12", PhoneExtension),
            ("+39 333 7654321 / +39 333 7654322", PhoneSeveral),
            ("+39 333 7654321, 333 7654322", PhoneSeveral),
            (&"+39 333 7654321 ".repeat(10_000), PhoneInvalid),
        ] {
            assert_eq!(read(wrong, ""), Err(code), "{wrong:?}");
        }
    }
}
