//! The limits of invitations: how often one is sent, and how soon again.
//!
//! The statements take them as parameters. The lockout after wrong codes is the database's own: see
//! `code_attempts` there.

use std::time::Duration;

/// The time for which only the holder of an invitation's lease may send it. It is longer than any
/// attempt takes.
pub const LEASE: Duration = Duration::from_mins(1);

/// Attempts to send one invitation; after the last one it has failed. `retry_delay` in the database
/// spreads them over a day.
pub const MAX_ATTEMPTS: i32 = 8;

/// The wait of an invitation that the provider wanted later.
pub const THROTTLED_PAUSE: Duration = Duration::from_secs(10);

/// The wait after an attempt whose outcome is unknown: by then the provider's event has told of a
/// mail that it took.
pub const UNKNOWN_PAUSE: Duration = Duration::from_mins(15);

/// The largest number of renewals of one athlete's invitation within [`RENEWAL_PERIOD`].
pub const MAX_RENEWALS: i64 = 5;

/// The period in which an athlete is invited again at most [`MAX_RENEWALS`] times.
pub const RENEWAL_PERIOD: Duration = Duration::from_hours(24);

/// The time after a renewal in which another resend is the same one, as after a double click.
pub const DOUBLE_CLICK: Duration = Duration::from_secs(10);
