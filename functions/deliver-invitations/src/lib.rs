//! The outbox relay. Every minute it sends the invitations that are due: those whose first try failed or never came about, and
//! those that were queued without one. Several may run at once.

mod app;

pub use app::App;

use futures::{StreamExt, stream};
use serde::Serialize;
use shared::{
    domain::{AttemptOutcome, limits::LEASE},
    invitations::{Message, delivery::Leased},
    platform::{
        db::{Db, QueryError, Row, Type},
        metrics,
    },
};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Sent at the same time, at most: enough for any quota at the tenth of a second that SES takes.
const AT_ONCE: usize = 16;

/// What sending one may take, and recording it: nothing is claimed that could not be finished.
const LONGEST_DELIVERY: Duration = Duration::from_secs(6);

/// Claims the invitations that have waited longest, and leases them for a minute to this relay. What another one has locked at
/// this moment it is claiming itself, and is passed over. A relay that dies leaves them queued, to be claimed when the lease
/// has run out.
///
/// $1 how many, $2 seconds of the lease.
const CLAIM_DUE: &str = r#"-- claim_due
    WITH due AS (
        SELECT id FROM invitation
        WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now()
        ORDER BY next_attempt_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE invitation SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2)
        FROM due
        WHERE invitation.id = due.id
        RETURNING invitation.id, invitation.athlete_id, invitation.attempts, invitation.channel, invitation.expires_at
    )
    SELECT claimed.id AS invitation_id, claimed.attempts, claimed.channel, claimed.expires_at,
           CASE claimed.channel WHEN 'sms' THEN athlete.phone ELSE athlete.email END AS recipient,
           athlete.full_name, athlete.locale, athlete.athlete_code,
           business.name AS business_name, owner.email AS owner_email
    FROM claimed
    JOIN athlete ON athlete.id = claimed.athlete_id
    JOIN business ON business.id = athlete.invited_by
    JOIN "user" AS owner ON owner.id = business.user_id"#;

/// For how many seconds the invitation that is due longest has been due; none where nothing is.
const OVERDUE: &str = "-- overdue
    SELECT extract(epoch FROM now() - min(next_attempt_at))::float8 AS seconds
    FROM invitation WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now()";

fn leased(row: &Row) -> Leased {
    Leased {
        id: row.get("invitation_id"),
        attempt: row.get("attempts"),
        channel: row.get("channel"),
        message: Message {
            to: row.get("recipient"),
            business: row.get("business_name"),
            reply_to: row.get("owner_email"),
            full_name: row.get("full_name"),
            locale: row.get("locale"),
            athlete_code: row.get("athlete_code"),
            expires_at: row.get("expires_at"),
        },
    }
}

/// What one run has done.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Report {
    /// Taken by the provider.
    pub sent: usize,
    /// Put off because the provider wants fewer at a time.
    pub throttled: usize,
    /// Never to be taken.
    pub refused: usize,
    /// Not taken this time.
    pub failed: usize,
    /// Tried, with an outcome that could not be written down: they are tried again.
    pub unrecorded: usize,
}

/// Sends what is due, until nothing is, the provider wants fewer, or the deadline is near.
pub async fn handle(app: &App, deadline: Instant) -> Result<Report, QueryError> {
    metrics::oldest_queued_invitation(overdue(&app.db).await?);
    let mut report = Report::default();
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut may_be_more = true;
    while may_be_more && report.throttled == 0 {
        second.tick().await;
        if Instant::now() + LONGEST_DELIVERY >= deadline {
            break;
        }
        let leased = claim(&app.db, app.send_rate).await?;
        may_be_more = leased.len() == usize::from(app.send_rate);
        let mut outcomes = stream::iter(leased)
            .map(|leased| deliver(app, leased))
            .buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            *match outcome {
                Some(AttemptOutcome::Sent) => &mut report.sent,
                Some(AttemptOutcome::Throttled) => &mut report.throttled,
                Some(AttemptOutcome::Refused) => &mut report.refused,
                Some(AttemptOutcome::Failed) => &mut report.failed,
                None => &mut report.unrecorded,
            } += 1;
        }
    }
    Ok(report)
}

/// How far behind the relays are: a minute at most while all is well.
async fn overdue(db: &Db) -> Result<Duration, QueryError> {
    let row = db.query_one(OVERDUE, &[]).await?;
    let seconds: Option<f64> = row.get("seconds");
    Ok(Duration::from_secs_f64(seconds.unwrap_or_default()))
}

async fn claim(db: &Db, number: u16) -> Result<Vec<Leased>, QueryError> {
    let rows = db
        .query(
            CLAIM_DUE,
            &[
                (&i64::from(number), Type::INT8),
                (&LEASE.as_secs_f64(), Type::FLOAT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(leased).collect())
}

/// The outcome, if it could be recorded.
async fn deliver(app: &App, leased: Leased) -> Option<AttemptOutcome> {
    match app.sender.deliver(&app.db, &leased).await {
        Ok((outcome, _)) => Some(outcome),
        Err(error) => {
            tracing::warn!(invitation_id = %leased.id, %error, "the attempt is not recorded");
            None
        }
    }
}
