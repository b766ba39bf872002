//! The way from an event to a response, and to PostgreSQL and AWS: the frame of every function.

mod app;
pub mod auth;
pub mod aws;
pub mod config;
pub mod db;
pub mod http;
pub mod log;
pub mod metrics;
pub mod problem;
mod serve;

pub use app::App;
pub use serve::{respond, serve, serve_events};
