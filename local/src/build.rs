//! Building the functions' binaries.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

/// The variable with a directory of programs that are run in the place of the functions' binaries:
/// those of another processor, for instance, each behind an emulator.
const FUNCTIONS: &str = "LOCAL_FUNCTIONS";

/// The binaries of the workspace, by name.
pub type Binaries = HashMap<String, PathBuf>;

/// One line of cargo's JSON output, of which only the executables matter.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the binaries of the workspace's default members, with the profile of this very program.
/// Cargo's progress shows on standard error.
///
/// The default members, and not the functions alone, are the packages that `cargo test` and `cargo
/// dev` select too: their dependencies have the same features everywhere, and are compiled once.
/// All members would be too many: `fuzz` needs C++.
pub fn binaries(workspace: &Workspace) -> Result<Binaries> {
    let mut command = cargo();
    command
        .current_dir(&workspace.root)
        .args([
            "build",
            "--bins",
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("can't run cargo")?;
    if !output.status.success() {
        bail!("the functions don't build: see cargo's messages above");
    }
    let mut binaries = executables(&output.stdout);
    if let Some(directory) = env::var_os(FUNCTIONS) {
        replace(&mut binaries, Path::new(&directory))?;
    }
    Ok(binaries)
}

/// Takes every program of a directory in the place of the binary of its name.
fn replace(binaries: &mut Binaries, directory: &Path) -> Result<()> {
    let programs = fs::read_dir(directory)
        .with_context(|| format!("{FUNCTIONS}: can't read {}", directory.display()))?;
    for program in programs {
        let program = program?;
        let name = program.file_name().to_string_lossy().into_owned();
        match binaries.get_mut(&name) {
            Some(binary) => *binary = program.path(),
            None => bail!("{FUNCTIONS}: the workspace has no function {name}"),
        }
    }
    Ok(())
}

fn executables(cargo_output: &[u8]) -> Binaries {
    cargo_output
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_a_directory_take_the_place_of_binaries_and_no_other_name_is_there() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("migrate"), "").unwrap();
        let built = |name: &str| Binaries::from([(name.to_owned(), PathBuf::from("/built"))]);
        let mut binaries = built("migrate");
        replace(&mut binaries, directory.path()).unwrap();
        assert_eq!(binaries["migrate"], directory.path().join("migrate"));
        let error = replace(&mut built("other"), directory.path()).unwrap_err();
        assert!(error.to_string().contains("no function migrate"), "{error}");
    }

    #[test]
    fn only_executables_are_read_from_what_cargo_prints() {
        let printed = br#"
{"reason":"compiler-artifact","target":{"name":"shared","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"migrate","kind":["bin"]},"executable":"/target/debug/migrate"}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"build-finished","success":true}
"#;
        let found = executables(printed);
        assert_eq!(found.len(), 1);
        assert_eq!(found["migrate"], PathBuf::from("/target/debug/migrate"));
    }
}
