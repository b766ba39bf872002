//! The checked texts: what is taken is what its type promises, and is taken again as it was kept.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::domain::{AthleteCode, Email, Locale, Name, Phone};

fuzz_target!(|text: &str| {
    if let Ok(email) = text.parse::<Email>() {
        is_an_address(email.as_str());
        assert_eq!(email.as_str().parse(), Ok(email));
    }
    if let Ok(phone) = text.parse::<Phone>() {
        let digits = phone.as_str().strip_prefix('+').expect("a plus");
        assert!(
            digits.parse::<u64>().is_ok() && (7..=15).contains(&digits.len()),
            "{digits}"
        );
        assert_eq!(phone.as_str().parse(), Ok(phone));
    }
    if let Ok(name) = text.parse::<Name>() {
        let name = name.as_str();
        assert!(
            (1..=120).contains(&name.chars().count())
                && name.trim() == name
                && name.lines().count() == 1,
            "{name:?}"
        );
        assert!(!name.contains(char::is_control), "{name:?}");
        assert_eq!(name.parse::<Name>().expect("a name").as_str(), name);
    }
    if let Ok(locale) = text.parse::<Locale>() {
        assert!(
            (2..=3).contains(&locale.language().len())
                && locale
                    .language()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic()),
            "{text:?}"
        );
    }
    if let Ok(code) = text.parse::<AthleteCode>() {
        let shown = code.to_string();
        assert!(
            shown.len() == 11
                && shown
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_alphanumeric()),
            "{shown}"
        );
        assert_eq!(shown.parse(), Ok(code));
    }
});

/// RFC 5321, section 4.5.3.1: 64 octets before the @, 255 after it. Nothing in it ends a header or
/// adds another address.
fn is_an_address(address: &str) {
    let (local_part, domain) = address.rsplit_once('@').expect("an @");
    assert!(
        (1..=64).contains(&local_part.len()) && domain.contains('.') && address.len() <= 254,
        "{address}"
    );
    assert!(
        address
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()),
        "{address}"
    );
    assert!(
        !address.contains(['"', '(', ')', ',', ':', ';', '<', '>', '[', '\\', ']'])
            && !local_part.contains('@'),
        "{address}"
    );
}
