//! What two or more functions use. `docs/ARCHITECTURE.md` shows how a request passes through it.

mod app;
pub mod auth;
pub mod aws;
pub mod config;
pub mod db;
pub mod delivery;
pub mod http;
pub mod invitation;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod problem;
mod serve;
pub mod sms;
pub mod types;

pub use app::App;
pub use serve::{answer, serve, serve_events};
