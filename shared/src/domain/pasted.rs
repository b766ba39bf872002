//! Text as people paste it: out of a mail, a web page, an address book, a spreadsheet. What came
//! along with it is taken off here, and nowhere else; what every type of text refuses is refused
//! afterwards.

use std::borrow::Cow;

/// A text on one line without what nobody sees: white space, marks of direction and zero-width
/// characters at its ends, quotation marks around it; inside, each space is a plain space, each
/// hyphen that forbids a line break a plain hyphen.
///
/// Line breaks, control characters and marks of direction inside stay, for the type of the text to
/// refuse.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    let line = unquoted(trimmed(text));
    if !line.chars().any(|c| on_a_line(c) != Some(c)) {
        return Cow::Borrowed(line);
    }
    let line: String = line.chars().filter_map(on_a_line).collect();
    // What stood between a space or a quotation mark and the end may be gone now.
    Cow::Owned(self::line(&line).into_owned())
}

/// A [`line`] that is to be ASCII, such as an address or a number: no invisible character stays in
/// it, and what looks like an ASCII hyphen, apostrophe, at sign or plus is one.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let line = line(text);
    let is_quoted = line.len() > 2 && line.starts_with('\'') && line.ends_with('\'');
    if is_quoted {
        return Cow::Owned(plain(&line[1..line.len() - 1]).into_owned());
    }
    if !line.chars().any(|c| in_plain(c) != Some(c)) {
        return line;
    }
    let line: String = line.chars().filter_map(in_plain).collect();
    Cow::Owned(plain(&line).into_owned())
}

/// Whether nothing of the text is seen. It then counts as absent.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// The text without white space and marks at its ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_mark(c))
}

/// What stands between quotation marks that open and close the whole text.
fn unquoted(text: &str) -> &str {
    const PAIRS: [(char, char); 5] = [
        ('"', '"'),
        ('\u{201C}', '\u{201D}'),
        ('\u{201E}', '\u{201C}'),
        ('\u{AB}', '\u{BB}'),
        ('\u{2018}', '\u{2019}'),
    ];
    let inside = PAIRS.into_iter().find_map(|(open, close)| {
        let inside = text.strip_prefix(open)?.strip_suffix(close)?;
        (!is_blank(inside) && !inside.contains([open, close])).then_some(inside)
    });
    inside.map_or(text, |inside| unquoted(trimmed(inside)))
}

/// The character as it stands on a line, or none where it does not.
fn on_a_line(c: char) -> Option<char> {
    match c {
        '\u{2011}' => Some('-'),
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => None,
        _ if c.is_whitespace() && !ends_a_line(c) => Some(' '),
        _ => Some(c),
    }
}

/// The character as it stands in ASCII, or none where it is not seen.
fn in_plain(c: char) -> Option<char> {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => Some('-'),
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{FF07}' => Some('\''),
        '\u{FE6B}' | '\u{FF20}' => Some('@'),
        '\u{FE62}' | '\u{FF0B}' => Some('+'),
        _ if is_invisible(c) && !c.is_whitespace() => None,
        _ => Some(c),
    }
}

/// White space that can't stand on a line: controls, and U+2028 and U+2029, which are line breaks
/// without being controls.
fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A mark that is not seen, and that no script needs at the end of a text: of direction, of zero
/// width, of byte order.
fn is_mark(c: char) -> bool {
    is_direction(c) || matches!(c, '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

/// A character that orders text: a mark, an embedding, an override, an isolate (UAX #9, section 2).
pub(super) fn is_direction(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}') || reorders_text(c)
}

/// The embeddings, overrides and isolates of bidirectional text (UAX #9, section 2), with which a
/// name can pass for another. The plain marks, which Arabic and Hebrew names do need between
/// letters, are not among them.
pub(super) fn reorders_text(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// White space, Braille's blank, and what Unicode calls default-ignorable
/// (`DerivedCoreProperties`), such as zero-width joiners and marks of direction. Some scripts need
/// them between letters; alone they are no text.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFF8}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AthleteCode, Email, Locale, Name, Phone};
    use proptest::prelude::*;

    /// Texts in which what is pasted along is frequent.
    fn pasted() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[a-zA-Z0-9@.+ -]{1,6}",
            prop::sample::select(vec![
                " ",
                "\t",
                "\n",
                "\r\n",
                "\0",
                "\u{A0}",
                "\u{AD}",
                "\u{61C}",
                "\u{200B}",
                "\u{200D}",
                "\u{200E}",
                "\u{200F}",
                "\u{2011}",
                "\u{2019}",
                "\u{201C}",
                "\u{201D}",
                "\u{202A}",
                "\u{202C}",
                "\u{202E}",
                "\u{2028}",
                "\u{2066}",
                "\u{2069}",
                "\u{FEFF}",
                "\"",
                "<",
                ">",
                "mailto:",
                "tel:",
                "ada@example.org",
                "+39 333 765 4321",
                "Code: ",
                "7ZQ4M-K2T9S",
                "it-IT",
            ])
            .prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn is_seen(text: &str) -> bool {
        !text.contains(|c: char| c.is_control() || reorders_text(c))
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in pasted()) {
            let line = line(&text);
            prop_assert_eq!(super::line(&line), line.clone());
            let plain = plain(&text);
            prop_assert_eq!(super::plain(&plain), plain.clone());
            prop_assert_eq!(super::line(&plain), plain.clone());
        }

        #[test]
        fn a_clean_text_is_not_changed(text in "[\\p{L}\\p{N}!#$%&'*+./=?@^_`{|}~-]{1,20}( [\\p{L}\\p{N}]{1,20}){0,3}") {
            prop_assume!(!text.contains(is_invisible) || text.contains(' '));
            prop_assume!(!text.chars().any(|c| is_invisible(c) && c != ' '));
            prop_assert_eq!(line(&text), text.as_str());
            if text.is_ascii() {
                prop_assert_eq!(plain(&text), text.as_str());
            }
        }

        #[test]
        fn no_control_and_no_mark_of_direction_gets_through(text in pasted()) {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert!(is_seen(name.as_str()), "{name:?}");
                prop_assert!(!name.as_str().starts_with(is_direction));
                prop_assert!(!name.as_str().ends_with(is_direction));
                prop_assert_eq!(name.as_str().parse(), Ok(name.clone()));
            }
            if let Ok(email) = text.parse::<Email>() {
                prop_assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert_eq!(email.as_str().parse(), Ok(email.clone()));
            }
            if let Ok(phone) = text.parse::<Phone>() {
                prop_assert!(phone.as_str()[1..].bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(phone.as_str().parse(), Ok(phone.clone()));
            }
            if let Ok(code) = text.parse::<AthleteCode>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
            if let Ok(locale) = text.parse::<Locale>() {
                prop_assert!(locale.language().bytes().all(|byte| byte.is_ascii_alphabetic()));
            }
        }
    }

    #[test]
    fn what_came_along_is_taken_off() {
        for (pasted, expected) in [
            ("\u{FEFF}Ada\r\n", "Ada"),
            ("\u{202A}Ada\u{202C}", "Ada"),
            ("\u{2068}Ada Novak\u{2069}", "Ada Novak"),
            ("Ada\u{A0}Novak\u{200B}", "Ada Novak"),
            ("\u{201C}Ada\u{201D}", "Ada"),
            ("\"Ada\"\t", "Ada"),
            ("Anne\u{2011}Marie", "Anne-Marie"),
            ("O\u{2019}Connor", "O\u{2019}Connor"),
            (
                "\u{201C}Rocky\u{201D} Balboa",
                "\u{201C}Rocky\u{201D} Balboa",
            ),
            ("'t Hooft", "'t Hooft"),
            ("a\nb", "a\nb"),
            ("", ""),
        ] {
            assert_eq!(line(pasted), expected, "{pasted:?}");
        }
        assert_eq!(
            plain("o\u{2019}connor\u{AD}@x.example\u{A0}"),
            "o'connor@x.example"
        );
        assert_eq!(plain("NP49N\u{2013}KT0CB"), "NP49N-KT0CB");
    }
}
