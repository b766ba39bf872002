//! Where the workspace and its build directory are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The directories of this workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Where `Cargo.toml` and `template.yaml` are.
    pub root: PathBuf,
    /// Cargo's build directory, `target` unless configured otherwise.
    pub target: PathBuf,
}

/// What of `cargo metadata` is used here.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows every way in which the build directory can be configured.
    pub fn locate() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let output = cargo()
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(&manifest)
            .stderr(Stdio::inherit())
            .output()
            .context("can't run cargo: is Rust's toolchain on the PATH?")?;
        if !output.status.success() {
            bail!("cargo metadata failed ({}), see above", output.status);
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .context("can't read what cargo metadata printed")?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
        })
    }

    /// The directory for what the local stack keeps between runs: tools and logs. Made if it is not
    /// there.
    pub fn local(&self) -> Result<PathBuf> {
        let directory = self.target.join("local");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("can't make the directory {}", directory.display()))?;
        Ok(directory)
    }
}

/// A `cargo` command, without what an outer `cargo run` or `cargo test` has told this program about
/// its own package.
///
/// Build scripts of dependencies look at such variables: inherited ones would make cargo build them
/// again and again.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let is_of_a_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
            || [
                "CARGO_CRATE_NAME",
                "CARGO_PRIMARY_PACKAGE",
                "CARGO_TARGET_TMPDIR",
                "OUT_DIR",
            ]
            .contains(&text);
        if is_of_a_package {
            command.env_remove(name);
        }
    }
    command
}
