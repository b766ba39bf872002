//! The local stack, on which `cargo dev` and the end-to-end tests run the functions.
//!
//! On AWS the functions stand behind API Gateway and beside RDS, SES and Secrets Manager. Here the
//! same binaries stand behind a [`gateway`] that reads the same `template.yaml`, a Lambda runtime
//! API ([`lambda`]), a private [`postgres`] server and moto ([`aws`]), all on the loopback address.
//! [`stack::Stack`] puts them together.
//!
//! Nothing of this crate is deployed.

pub mod aws;
pub mod build;
pub mod child;
pub mod gateway;
pub mod lambda;
pub mod large;
pub mod logs;
pub mod port;
pub mod postgres;
pub mod schedule;
pub mod services;
pub mod stack;
pub mod template;
pub mod tools;
pub mod walk;
pub mod workspace;

/// Tells a person at the terminal what is going on, on standard error: results go to standard
/// output.
#[expect(clippy::print_stderr, reason = "this crate is a command-line tool")]
fn progress(message: impl std::fmt::Display) {
    eprintln!("{message}");
}
