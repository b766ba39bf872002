//! The functions, called with real events on a real PostgreSQL. Every answer is held to `openapi.yaml` on the way.

mod authorization;
mod bad_input;
mod contract;
mod documents;
mod faults;
mod hostile_texts;
mod identity;
mod import;
mod invitations;
mod logs;
mod mail_events;
mod migrations;
mod model;
mod paging;
mod pooler;
mod query_plans;
mod races;
mod relay;
mod released;
mod renewals;
mod roles;
mod signup;
mod tls;
mod tracking;
mod waitlist;
mod workouts;
