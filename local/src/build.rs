//! Building the functions' binaries.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

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

/// Builds the binaries of the workspace's default members, with the profile of this very program. Cargo's progress shows on
/// standard error.
///
/// The default members, and not the functions alone, are the packages that `cargo test` and `cargo dev` select too: their
/// dependencies have the same features everywhere, and are compiled once. All members would be too many: `fuzz` needs C++.
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
    Ok(executables(&output.stdout))
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
