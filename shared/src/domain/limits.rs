//! The limits of invitations: how often one is sent, and how soon again.
//!
//! The statements take them as parameters. The lockout after wrong codes is the database's own: see `code_attempts` there.

use std::time::Duration;

/// The time for which an invitation that is being sent is nobody else's to send. Longer than any attempt takes.
pub const LEASE: Duration = Duration::from_secs(60);

/// Attempts to send one invitation; after the last one it has failed. `retry_delay` in the database spreads them over a day.
pub const MAX_ATTEMPTS: i32 = 8;

/// The wait after the provider has asked for fewer at a time.
pub const THROTTLED_PAUSE: Duration = Duration::from_secs(60);

/// New invitations of one athlete within [`RENEWAL_PERIOD`], besides the first one.
pub const MAX_RENEWALS: i64 = 5;

/// The time in which at most [`MAX_RENEWALS`] invitations are sent again.
pub const RENEWAL_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// The time in which a second resend counts as the first one, as after a double click.
pub const DOUBLE_CLICK: Duration = Duration::from_secs(10);
