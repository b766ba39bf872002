//! `cargo dev`: the whole system on this machine.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command-line tool"
)]

mod arguments;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Command};
use local::child::tail;
use local::lambda::Instances;
use local::large;
use local::stack::{Options, Stack};
use local::walk::walk;

/// The port on which `cargo lambda invoke` looks for the Lambda API.
const LAMBDA_PORT: u16 = 9000;

/// How many invocations a function takes at once, as the functions are deployed to do.
const CONCURRENCY: u16 = 8;

/// What a shell makes of SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = match arguments::read(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run(arguments)) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    run(&arguments).unwrap_or_else(|error| {
        eprintln!("\n{error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("can't start threads")?;
    let outcome = runtime.block_on(dev(arguments));
    // Without waiting for a build or an installation that was broken off.
    runtime.shutdown_background();
    outcome
}

async fn dev(arguments: &Arguments) -> Result<ExitCode> {
    let began = Instant::now();
    let stop = stop_signal()?;
    tokio::pin!(stop);

    let options = Options {
        port: Some(arguments.port),
        preferred_lambda_port: Some(LAMBDA_PORT),
        instances: Instances::Concurrent(CONCURRENCY),
        schedules: true,
        large: arguments.seed_large,
        ..Options::default()
    };
    let stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        // Whatever has been started stops when it is dropped here.
        () = &mut stop => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let started = began.elapsed();

    let walked = tokio::select! {
        walked = walk(stack.base_url()) => walked,
        () = &mut stop => {
            stack.stop().await?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    println!(
        "\nStarted in {:.1} s; at the walk's end after {:.1} s.",
        started.as_secs_f32(),
        began.elapsed().as_secs_f32()
    );
    if let Err(error) = &walked {
        eprintln!("\nThe walk failed: {error:#}");
        if let Some(log) = stack.latest_log() {
            eprintln!("\nThe end of the log {}:\n{}", log.display(), tail(&log));
        }
    }

    if !arguments.once {
        println!("\n{}", where_to_go(&stack));
        if arguments.seed_large {
            println!("\n{}", whom_to_be());
        }
        println!("\nCtrl-C stops everything.");
        stop.await;
        println!("\nStopping …");
    }
    stack.stop().await?;
    Ok(if walked.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ends at Ctrl-C (SIGINT) or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let unheard = "can't listen for signals";
    let mut interrupt = signal(SignalKind::interrupt()).context(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).context(unheard)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What one can do now.
fn where_to_go(stack: &Stack) -> String {
    let base_url = stack.base_url();
    let services = stack.services();
    format!(
        r#"The API      {base_url}
The inbox    {base_url}/_local/inbox
A token      curl -s {base_url}/_local/token -d '{{"email": "you@example.com"}}'
The database psql {database}
The logs     {logs}

An event, past the gateway, in the folder of the workspace:
  curl -s {invocations} --data-binary @{event}
or with cargo-lambda:
  cargo lambda invoke -A 127.0.0.1 -P {lambda_port} register-business --data-file {event}"#,
        database = services.postgres.url(stack.database()),
        logs = services.logs.directory().display(),
        invocations = stack.lambda().url("register-business"),
        lambda_port = stack.lambda().port(),
        event = sample_event(&services.workspace.root, "register-business"),
    )
}

/// Whose tokens show something of the large data.
fn whom_to_be() -> String {
    format!(
        "There are 200 gyms, 100,000 athletes and 500,000 assignments to look at. Get a token for
  {owner}     an owner: up to owner-200, each with a gym of 500 athletes and 20 workouts
  {athlete}   an athlete: up to athlete-40000, the first 10000 at two gyms",
        owner = large::OWNER,
        athlete = large::ATHLETE,
    )
}

/// One of the sample events of a function.
fn sample_event(workspace_root: &Path, function: &str) -> String {
    let directory = Path::new("events").join(function);
    let first = std::fs::read_dir(workspace_root.join(&directory))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .min();
    directory
        .join(first.as_deref().unwrap_or("….json"))
        .display()
        .to_string()
}
