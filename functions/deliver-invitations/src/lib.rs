//! The outbox relay. Every minute it sends the invitations that are due: those whose first attempt failed or was never made, and
//! those of an import, which are queued without an attempt. Several relays may run at once.

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

/// The number of invitations that are sent at the same time at a usual rate.
const AT_ONCE: usize = 16;

/// The largest number of invitations that are sent at the same time.
const AT_ONCE_MAX: usize = 200;

/// The number of invitations that are sent at the same time, so that the rate is reached at the tenth of a second that SES takes, and at twice that.
fn at_once(send_rate: u16) -> usize {
    (usize::from(send_rate) / 5).clamp(AT_ONCE, AT_ONCE_MAX)
}

/// The longest time to send an invitation and record it. None is claimed that could not be finished before the deadline.
const LONGEST_DELIVERY: Duration = Duration::from_secs(6);

/// Claims the due invitations that have waited longest: this relay gets a lease on them. Those that another relay is claiming at
/// this moment are passed over. If a relay dies, its invitations stay queued, and are claimed again when the lease has ended.
/// Nothing is sent for a closed gym or to a removed athlete.
///
/// $1 number of invitations, $2 seconds of the lease.
const CLAIM_DUE: &str = r#"-- claim_due
    WITH due AS (
        SELECT invitation.id
        FROM invitation
        JOIN athlete ON athlete.id = invitation.athlete_id
        JOIN business ON business.id = athlete.invited_by
        WHERE invitation.status = 'queued' AND next_attempt_at <= now() AND expires_at > now()
          AND athlete.removed_at IS NULL AND business.closed_at IS NULL
        ORDER BY next_attempt_at
        LIMIT $1
        FOR UPDATE OF invitation SKIP LOCKED
    ), claimed AS (
        UPDATE invitation SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2)
        FROM due
        WHERE invitation.id = due.id
        RETURNING invitation.id, invitation.athlete_id, invitation.attempts, invitation.channel, invitation.expires_at
    )
    SELECT claimed.id AS invitation_id, claimed.attempts, claimed.channel,
           last_day(claimed.expires_at, business.time_zone) AS last_day,
           CASE claimed.channel WHEN 'sms' THEN athlete.phone ELSE athlete.email END AS recipient,
           athlete.full_name, athlete.locale, athlete.athlete_code, athlete.contact_is_shared,
           business.name AS business_name, owner.email AS owner_email
    FROM claimed
    JOIN known_athlete AS athlete ON athlete.id = claimed.athlete_id
    JOIN business ON business.id = athlete.business_id
    JOIN "user" AS owner ON owner.id = business.user_id"#;

/// The number of seconds for which the oldest queued invitation has been due; null if none is due.
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
            is_shared: row.get("contact_is_shared"),
            locale: row.get("locale"),
            athlete_code: row.get("athlete_code"),
            last_day: row.get("last_day"),
        },
    }
}

/// The numbers of invitations that one run has attempted to send, by outcome.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Report {
    /// Invitations that the provider took.
    pub sent: usize,
    /// Invitations that are sent later because the provider wants fewer at a time.
    pub throttled: usize,
    /// Invitations that the provider will never take.
    pub refused: usize,
    /// Invitations that the provider did not take this time.
    pub failed: usize,
    /// Invitations whose outcome could not be recorded: they are sent again.
    pub unrecorded: usize,
}

/// Sends the due invitations until none is left, the provider wants fewer at a time, or the deadline is near.
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
            .buffer_unordered(at_once(app.send_rate));
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

/// The delay of the relays: a minute at most while all is well.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_reached_while_ses_takes_a_fifth_of_a_second() {
        for send_rate in [1, 14, 80, 81, 500, 1000] {
            assert!(
                at_once(send_rate) * 5 + 4 >= usize::from(send_rate),
                "{send_rate}"
            );
        }
        assert_eq!((at_once(1), at_once(u16::MAX)), (AT_ONCE, AT_ONCE_MAX));
    }
}
