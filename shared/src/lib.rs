//! What two or more functions use, in three layers, each of which uses only those below it:
//!
//! - [`invitations`]: what an invitation says, and how it is sent.
//! - [`platform`]: the way from an event to a response, and to PostgreSQL and AWS.
//! - [`domain`]: checked types without input or output.
//!
//! `docs/ARCHITECTURE.md` shows how a request passes through them.

pub mod domain;
pub mod invitations;
pub mod platform;
