//! The functions, called with real events on a real PostgreSQL. Every answer is held to `openapi.yaml` on the way.

mod bad_input;
mod contract;
mod faults;
mod invitations;
mod migrations;
mod paging;
mod races;
mod signup;
mod tenancy;
mod waitlist;
mod workouts;
