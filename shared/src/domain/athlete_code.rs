use super::{ErrorCode, ValidationError, pasted};
use postgres_types::{FromSql, ToSql};
use std::{fmt, str::FromStr};

/// Crockford's base 32 (<https://www.crockford.com/base32.html>): digits and capitals without I, L,
/// O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code: nine drawn ones and the check.
const LENGTH: usize = 10;

/// The code that claims an athlete: 45 random bits and a check, shown as `XXXXX-XXXXX`, stored
/// without the hyphen.
///
/// The check makes the code a root of α as a polynomial over GF(32). Every position so has a weight
/// of its own, a power of α, none of them zero: one wrong character changes the sum, and so does a
/// swap of any two that differ. A form can refuse a typo by itself; no endpoint has to tell whether
/// a code exists.
#[derive(Clone, PartialEq, Eq, ToSql, FromSql)]
#[postgres(transparent)]
pub struct AthleteCode(String);

impl AthleteCode {
    /// A new code from the operating system's generator. Without randomness nothing is safe to do,
    /// and it panics.
    #[must_use]
    pub fn draw() -> Self {
        let mut entropy = [0; 8];
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one source that an App is given"
        )]
        getrandom::fill(&mut entropy).expect("the operating system gives random bytes");
        Self::from_entropy(u64::from_le_bytes(entropy))
    }

    /// The code that the lowest 45 bits of `entropy` make.
    #[must_use]
    pub fn from_entropy(entropy: u64) -> Self {
        let mut values = [0; LENGTH];
        for (position, value) in values[..LENGTH - 1].iter_mut().enumerate() {
            *value = (entropy >> (5 * position) & 31) as u8;
        }
        values[LENGTH - 1] = times_alpha(at_alpha(&values[..LENGTH - 1]));
        Self::of(values)
    }

    /// The code with these values, if the check fits.
    fn checked(values: [u8; LENGTH]) -> Result<Self, ValidationError> {
        if at_alpha(&values) != 0 {
            return Err(ValidationError::new(
                ErrorCode::AthleteCodeTypo,
                "has a typo: compare it with the invitation, character by character",
            ));
        }
        Ok(Self::of(values))
    }

    fn of(values: [u8; LENGTH]) -> Self {
        Self(
            values
                .iter()
                .map(|&value| char::from(ALPHABET[usize::from(value)]))
                .collect(),
        )
    }
}

impl FromStr for AthleteCode {
    type Err = ValidationError;

    /// Reads a code as a person types it: in any case, with spaces and hyphens anywhere, O for 0, I
    /// and L for 1. Out of a longer text, such as the invitation's link or `Code: 7ZQ4M-K2T9S`, the
    /// one code that it holds is read.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        const FORM: ValidationError = ValidationError::new(
            ErrorCode::AthleteCodeInvalid,
            "must be the ten letters and digits of the invitation, like 7ZQ4M-K2T9S",
        );

        let text = pasted::plain(text);
        if let Some(values) = values_of(&text) {
            return Self::checked(values);
        }
        if let Some(values) = parameter_of_a_link(&text).and_then(values_of) {
            return Self::checked(values);
        }
        // A word of ten letters may have the form of a code too: one with a hyphen comes first.
        let words = || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let is_hyphenated =
            |word: &&str| word.len() == LENGTH + 1 && word.as_bytes()[LENGTH / 2] == b'-';
        let hyphenated: Vec<_> = words()
            .filter(is_hyphenated)
            .filter_map(values_of)
            .collect();
        let found = if hyphenated.is_empty() {
            words()
                .filter(|word| word.len() == LENGTH)
                .filter_map(values_of)
                .collect()
        } else {
            hyphenated
        };
        let mut codes: Vec<_> = found
            .iter()
            .filter_map(|values| Self::checked(*values).ok())
            .collect();
        codes.dedup();
        match (codes.as_slice(), found.as_slice()) {
            ([code], _) => Ok(code.clone()),
            // A word without a digit is one of the sentence, not a code with a typo.
            ([], [values]) if text.contains(|c: char| c.is_ascii_digit()) => Self::checked(*values),
            _ => Err(FORM),
        }
    }
}

/// What the characters stand for, if there are as many as a code has; spaces and hyphens are passed
/// over.
fn values_of(text: &str) -> Option<[u8; LENGTH]> {
    let mut values = [0; LENGTH];
    let mut read = 0;
    for character in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
        *values.get_mut(read)? = value_of(character)?;
        read += 1;
    }
    (read == LENGTH).then_some(values)
}

/// The code that the invitation's link holds: `https://…/join?code=7ZQ4M-K2T9S`.
fn parameter_of_a_link(text: &str) -> Option<&str> {
    let (_, code) = text
        .split_once("?code=")
        .or_else(|| text.split_once("&code="))?;
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .next()
}

impl fmt::Display for AthleteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = self.0.split_at(LENGTH / 2);
        write!(f, "{left}-{right}")
    }
}

impl serde::Serialize for AthleteCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A code opens a door: it is not for logs.
impl fmt::Debug for AthleteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AthleteCode(…)")
    }
}

fn value_of(character: char) -> Option<u8> {
    let read_as = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET
        .iter()
        .position(|&symbol| char::from(symbol) == read_as)
        .and_then(|value| u8::try_from(value).ok())
}

/// The polynomial with these coefficients, highest power first, at α (Horner's rule).
fn at_alpha(coefficients: &[u8]) -> u8 {
    coefficients
        .iter()
        .fold(0, |sum, coefficient| times_alpha(sum) ^ coefficient)
}

/// Multiplication by α, a root of x⁵ + x² + 1, which is primitive: α's powers repeat only after 31.
fn times_alpha(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 0b10_0000 == 0 {
        doubled
    } else {
        doubled ^ 0b10_0101
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: u64 = 3_000;

    /// Codes spread over the whole 45 bits, the same in every run.
    fn codes() -> impl Iterator<Item = AthleteCode> {
        (0..CODES).map(|n| AthleteCode::from_entropy(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7))
    }

    fn symbols_of(code: &AthleteCode) -> [u8; LENGTH] {
        code.0
            .as_bytes()
            .try_into()
            .expect("a code has ten characters")
    }

    fn is_read(symbols: &[u8]) -> bool {
        str::from_utf8(symbols)
            .expect("ASCII")
            .parse::<AthleteCode>()
            .is_ok()
    }

    #[test]
    fn reads_what_it_shows() {
        for code in codes() {
            assert_eq!(code.to_string().parse(), Ok(code.clone()));
            assert_eq!(code.0.parse(), Ok(code));
        }
    }

    #[test]
    fn every_single_wrong_character_is_caught() {
        for code in codes() {
            for position in 0..LENGTH {
                for &wrong in ALPHABET
                    .iter()
                    .filter(|&&symbol| symbol != symbols_of(&code)[position])
                {
                    let mut typed = symbols_of(&code);
                    typed[position] = wrong;
                    assert!(
                        !is_read(&typed),
                        "{code} typed as {}",
                        String::from_utf8_lossy(&typed)
                    );
                }
            }
        }
    }

    #[test]
    fn every_swap_of_two_positions_is_caught() {
        for code in codes() {
            for first in 0..LENGTH {
                for second in first + 1..LENGTH {
                    let mut typed = symbols_of(&code);
                    typed.swap(first, second);
                    assert_eq!(
                        is_read(&typed),
                        typed == symbols_of(&code),
                        "{code} typed as {}",
                        String::from_utf8_lossy(&typed)
                    );
                }
            }
        }
    }

    #[test]
    fn is_read_kindly() {
        let code = AthleteCode::from_entropy(0b1 << 40 | 0b10_0000); // 0 and 1 are both in it
        let shown = code.to_string();
        assert!(shown.contains('0') && shown.contains('1'), "{shown}");
        for typed in [
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " - ")),
            shown.replace('0', "O").replace('1', "I"),
            shown.replace('0', "o").replace('1', "l"),
        ] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
    }

    #[test]
    fn is_read_out_of_a_pasted_text() {
        let code = Ok("7ZQ4M-K2T9S".parse::<AthleteCode>().unwrap());
        for pasted in [
            "7zq4m\u{2011}k2t9s",
            "7ZQ4M\u{2013}K2T9S",
            "7ZQ4M\u{A0}-\u{A0}K2T9S\r\n",
            "\u{201C}7ZQ4M-K2T9S\u{201D}",
            "Code: 7ZQ4M-K2T9S",
            "Codice: 7ZQ4MK2T9S.",
            "(7ZQ4M-K2T9S)",
            "https://app.example/join?code=7ZQ4M-K2T9S",
            "https://app.example/join?x=1&code=7ZQ4MK2T9S#top",
            "<https://app.example/join?code=7zq4m-k2t9s>",
            "Iron Temple invites you.\n\nYour invitation: 7ZQ4M-K2T9S\nhttps://app.example/",
            "7ZQ4M-K2T9S 7ZQ4M-K2T9S!",
        ] {
            assert_eq!(pasted.parse(), code, "{pasted:?}");
        }
        let other = AthleteCode::from_entropy(7);
        for (wrong, expected) in [
            (
                format!("7ZQ4M-K2T9S or {other}"),
                ErrorCode::AthleteCodeInvalid,
            ),
            ("Code: 7ZQ4M-K2T9T".to_owned(), ErrorCode::AthleteCodeTypo),
            (
                "https://app.example/join?code=7ZQ4M-K2T9T".to_owned(),
                ErrorCode::AthleteCodeTypo,
            ),
            (
                "https://app.example/join".to_owned(),
                ErrorCode::AthleteCodeInvalid,
            ),
        ] {
            let error = wrong.parse::<AthleteCode>().expect_err(&wrong);
            assert_eq!(error.code, expected, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused_with_a_reason() {
        let nine = &AthleteCode::from_entropy(7).0[..9];
        for typed in [
            "",
            "-",
            "7ZQ4M",
            "7ZQ4M-K2T9X-7",
            "UUUUU-UUUUU",
            "７ZQ4MK2T9X",
            "7ZQ4M\0K2T9X",
            "Your invitation",
            nine,
        ] {
            let ValidationError { detail: reason, .. } =
                typed.parse::<AthleteCode>().expect_err(typed);
            assert!(
                reason.contains("ten letters and digits"),
                "{typed}: {reason}"
            );
        }
    }

    #[test]
    fn the_example_is_a_code() {
        assert!("7ZQ4M-K2T9S".parse::<AthleteCode>().is_ok());
    }

    #[test]
    fn draws_differ() {
        let drawn: std::collections::HashSet<_> =
            (0..1_000).map(|_| AthleteCode::draw().0).collect();
        assert_eq!(drawn.len(), 1_000);
    }

    #[test]
    fn debug_output_does_not_show_it() {
        assert_eq!(format!("{:?}", AthleteCode::draw()), "AthleteCode(…)");
    }
}
