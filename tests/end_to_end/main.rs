//! The real binaries, behind the local gateway, over HTTP.

mod build;
mod crashes;
mod faults;
mod gateway;
mod journey;
mod line;
mod load;
mod migrate;
mod races;
mod sample_events;
mod schema;
mod stand_in;
mod system;
