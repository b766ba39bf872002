//! The code that two or more functions use, in three layers. Each layer uses only those below it:
//!
//! - [`invitations`]: the texts of an invitation, and sending it.
//! - [`platform`]: the way from an event to a response, and to PostgreSQL and AWS.
//! - [`domain`]: checked types, without input or output.
//!
//! `docs/ARCHITECTURE.md` shows how a request passes through them.

pub mod domain;
pub mod invitations;
pub mod platform;
