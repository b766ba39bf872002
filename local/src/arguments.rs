//! What `cargo dev` is told on the command line.

/// The gateway's port unless told otherwise.
const PORT: u16 = 3000;

/// The answer to `--help`.
pub const HELP: &str = "\
Runs the whole system on this machine, walks once through the main job, and serves until Ctrl-C.

Usage: cargo dev [--port N] [--once] [--seed-large]

  --port N      serve on this port (default: 3000)
  --once        end after the walk; the exit code is 1 if a step of it failed
  --seed-large  begin with 200 gyms, 100,000 athletes and 500,000 assignments
  --help        this text

Environment:
  DATABASE_URL           use this PostgreSQL server in place of a private one
  LOCAL_POSTGRES=wheel   use PostgreSQL from the Python wheel although this machine has one";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the system.
    Run(Arguments),
    /// Tell how to use this program.
    Help,
}

/// How the system is to be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The gateway's port.
    pub port: u16,
    /// Whether to end after the walk.
    pub once: bool,
    /// Whether to begin with very many rows.
    pub seed_large: bool,
}

/// Reads the arguments; the error says which one is wrong.
pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut read = Arguments {
        port: PORT,
        once: false,
        seed_large: false,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument
            .split_once('=')
            .map_or((argument.as_str(), None), |(name, value)| {
                (name, Some(value.to_owned()))
            }) {
            ("--port", value) => read.port = port(value.or_else(|| arguments.next()))?,
            ("--once", None) => read.once = true,
            ("--seed-large", None) => read.seed_large = true,
            ("--help" | "-h", None) => return Ok(Command::Help),
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(Command::Run(read))
}

fn port(value: Option<String>) -> Result<u16, String> {
    let value = value.ok_or("--port needs a number")?;
    match value.parse() {
        Ok(0) | Err(_) => Err(format!(
            "--port needs a number from 1 to 65535, not {value:?}"
        )),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<Command, String> {
        read(line.split_whitespace().map(str::to_owned))
    }

    fn run(port: u16, once: bool) -> Command {
        Command::Run(Arguments {
            port,
            once,
            seed_large: false,
        })
    }

    #[test]
    fn arguments_are_read_in_any_order_and_form() {
        assert_eq!(given(""), Ok(run(3000, false)));
        assert_eq!(given("--once --port 4000"), Ok(run(4000, true)));
        assert_eq!(given("--port=4000"), Ok(run(4000, false)));
        assert_eq!(given("--once -h"), Ok(Command::Help));
        let large = Arguments {
            port: 3000,
            once: false,
            seed_large: true,
        };
        assert_eq!(given("--seed-large"), Ok(Command::Run(large)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("--prot 4000", "--prot"),
            ("serve", "serve"),
            ("--once=yes", "--once=yes"),
            ("--seed-large 7", "\"7\""),
            ("--port", "needs a number"),
            ("--port 0", "\"0\""),
            ("--port 70000", "70000"),
            ("--port --once", "--once"),
        ] {
            let error = given(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
