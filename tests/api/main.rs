//! The functions, called with real events on a real PostgreSQL. Every answer is held to `openapi.yaml` on the way.

mod bad_input;
mod contract;
mod faults;
mod import;
mod invitations;
mod mail_events;
mod migrations;
mod model;
mod paging;
mod pooler;
mod query_plans;
mod races;
mod relay;
mod renewals;
mod signup;
mod tenancy;
mod tls;
mod tracking;
mod waitlist;
mod workouts;
