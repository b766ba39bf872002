//! The real binaries, behind the local gateway, over HTTP.

mod crashes;
mod gateway;
mod journey;
mod migrate;
mod races;
mod sample_events;
mod system;
