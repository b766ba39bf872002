//! The real binaries, behind the local gateway, over HTTP.

mod crashes;
mod gateway;
mod journey;
mod races;
mod sample_events;
mod schema;
mod system;
