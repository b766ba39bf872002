use strsim::osa_distance;

/// The domains of mail providers that many people have, by name and by what follows on it.
const PROVIDERS: [(&str, &[&str]); 18] = [
    ("gmail", &["com"]),
    ("googlemail", &["com"]),
    ("hotmail", &["com", "it", "fr", "de", "es", "co.uk"]),
    ("outlook", &["com", "it", "fr", "de", "es"]),
    (
        "yahoo",
        &["com", "it", "fr", "de", "es", "co.uk", "co.in", "com.br"],
    ),
    ("icloud", &["com"]),
    ("live", &["com", "it", "fr", "co.uk"]),
    ("msn", &["com"]),
    ("aol", &["com"]),
    ("gmx", &["com", "de", "net", "at", "ch"]),
    ("proton", &["me"]),
    ("protonmail", &["com"]),
    ("libero", &["it"]),
    ("virgilio", &["it"]),
    ("tiscali", &["it"]),
    ("alice", &["it"]),
    ("tin", &["it"]),
    ("fastwebnet", &["it"]),
];

/// What `.com` and `.it` become under hasty fingers, where nobody has a provider of that name.
const ENDINGS: [(&str, &[&str]); 2] = [
    (
        "com",
        &[
            "con", "cmo", "ocm", "comm", "coom", "ccom", "vom", "xom", "cpm", "cim", "clm", "om",
            "cm", "co", "c0m", "com.com",
        ],
    ),
    ("it", &["ti", "itt", "iit", "ut", "ot"]),
];

/// Names that look like a provider's mistyped one, and are providers' themselves.
const OTHERS: [&str; 7] = ["ymail", "email", "mail", "gmail", "fmail", "hmail", "alive"];

/// Letters that a name must have for one wrong one to be told from another name.
const MIN_LENGTH: usize = 5;

/// The domain that is probably meant, where this one looks like a mistyped one of a provider that
/// many people have.
pub(super) fn meant(domain: &str) -> Option<String> {
    let (name, ending) = domain.split_once('.')?;
    let is_known = |endings: &&[&str], ending: &str| endings.contains(&ending);
    if PROVIDERS
        .iter()
        .any(|(known, endings)| *known == name && is_known(endings, ending))
    {
        return None;
    }
    let corrected = ENDINGS.iter().find(|(_, typos)| typos.contains(&ending));
    let corrected = corrected.map_or(ending, |(right, _)| right);
    PROVIDERS.iter().find_map(|(known, endings)| {
        let is_near =
            known.len() >= MIN_LENGTH && osa_distance(known, name) == 1 && !OTHERS.contains(&name);
        let is_meant = is_known(endings, corrected) && (*known == name || is_near);
        is_meant.then(|| format!("{known}.{corrected}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_provider_is_named() {
        for (typed, expected) in [
            ("gmail.con", "gmail.com"),
            ("gmial.com", "gmail.com"),
            ("gmai.com", "gmail.com"),
            ("gmaill.com", "gmail.com"),
            ("gnail.com", "gmail.com"),
            ("gmail.co", "gmail.com"),
            ("gmial.con", "gmail.com"),
            ("hotmial.com", "hotmail.com"),
            ("hotmal.it", "hotmail.it"),
            ("outlok.com", "outlook.com"),
            ("yaho.com", "yahoo.com"),
            ("yahoo.con", "yahoo.com"),
            ("iclod.com", "icloud.com"),
            ("libero.ti", "libero.it"),
            ("aol.con", "aol.com"),
        ] {
            assert_eq!(meant(typed).as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn other_domains_are_left_alone() {
        for domain in [
            "gmail.com",
            "ymail.com",
            "mail.com",
            "email.com",
            "gmx.at",
            "live.it",
            "love.com",
            "me.com",
            "yahoo.co.uk",
            "yahoo.com.br",
            "example.org",
            "iron.example",
            "gmail.example",
            "company.co",
            "example.con",
            "mac.com",
            "tin.it",
            "xn--mller-kva.example",
        ] {
            assert_eq!(meant(domain), None, "{domain}");
        }
    }
}
