//! The functions, called with real events on a real PostgreSQL. Every answer is held to
//! `openapi.yaml` on the way.

mod authorization;
mod bad_input;
mod completions;
mod contract;
mod documents;
mod endings;
mod faults;
mod hostile_texts;
mod identity;
mod import;
mod invitations;
mod logs;
mod lost_answers;
mod mail_events;
mod migrations;
mod model;
mod own_workouts;
mod paging;
mod pooler;
mod query_plans;
mod races;
mod relay;
mod released;
mod renewals;
mod roles;
mod signup;
mod spreadsheets;
mod tls;
mod tracking;
mod waitlist;
mod workouts;
