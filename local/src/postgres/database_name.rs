//! The names of the databases that are made here: who made each one, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

/// What the names of all databases made here begin with; the time they were made at follows.
pub const PREFIX: &str = "onboarding_";

/// `onboarding_<time>_<process>_<random>_<purpose>`: tells later who made it and when. PostgreSQL
/// cuts names at 63 bytes.
pub fn unique_name(purpose: &str) -> Result<String> {
    let (time, process, random) = (unix_seconds(), std::process::id(), getrandom::u32()?);
    let mut name = format!("{PREFIX}{time}_{process}_{random:08x}_{purpose}");
    name.truncate(name.floor_char_boundary(63));
    Ok(name)
}

/// When the database with this name was made, in seconds since 1970; none for a name of another
/// program.
pub fn made_at(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('_').next()?.parse().ok()
}

/// Whether this process has made the database with this name.
pub fn made_by_this_process(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.split('_').nth(1))
        == Some(&std::process::id().to_string())
}

/// The time, in seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_when_and_by_whom_and_never_repeat() {
        let name = unique_name("claims").unwrap();
        assert!(name.ends_with("_claims"), "{name}");
        assert!(made_by_this_process(&name));
        assert!(made_at(&name).unwrap().abs_diff(unix_seconds()) < 5);
        assert_ne!(name, unique_name("claims").unwrap());

        let long = unique_name(&"é".repeat(60)).unwrap();
        assert!((62..=63).contains(&long.len()), "{long}");
        assert_eq!(made_at("onboarding_of_another_program"), None);
        assert!(!made_by_this_process("onboarding_1795340970_0_00000000_x"));
    }
}
