//! The outbox relay. Every minute it sends the invitations that are due: those whose first attempt
//! failed or was never made, and those of an import, which are queued without an attempt. Several
//! relays may run at once.

mod app;
mod claim;
mod pace;

pub use app::App;

use claim::{Claim, Claimed, Turn};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use pace::Pace;
use serde::Serialize;
use shared::{
    domain::{AttemptOutcome, Channel, limits::MAX_ATTEMPTS},
    invitations::SendError,
    platform::{
        aws::CALL_BUDGET,
        db::{self, Db, QueryError, Type},
        metrics,
    },
};
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The longest time to claim an invitation, send it and record the outcome. None is claimed that
/// could not be finished before the deadline.
const LONGEST_DELIVERY: Duration = db::LONGEST.saturating_mul(2).saturating_add(CALL_BUDGET);

/// Ends the invitations that are attempted no more, which no claim takes. Another relay may be at
/// it.
///
/// $1 attempts at most, $2 text for the gym's owner where no attempt has left one.
const GIVE_UP: &str = "-- give_up
    UPDATE invitation SET status = 'failed', claim = NULL, last_error = coalesce(last_error, $2)
    WHERE id IN (
        SELECT id FROM invitation
        WHERE status = 'queued' AND next_attempt_at <= now() AND is_exhausted(invitation, $1)
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id";

const GIVEN_UP: &str = "It could not be sent in several attempts; please hand over the code yourself, or send it again.";

const UNSENDABLE: &str = "It has no address that it could be sent to: correct it.";

/// The number of seconds for which the oldest queued invitation has been due; null if none is due.
const OVERDUE: &str = "-- overdue
    SELECT extract(epoch FROM now() - min(next_attempt_at))::float8 AS seconds
    FROM invitation WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now()";

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
    /// Invitations of which nobody knows whether the provider took them.
    pub unknown: usize,
    /// Invitations whose outcome could not be recorded.
    pub unrecorded: usize,
}

impl Report {
    fn count(&mut self, outcome: Option<AttemptOutcome>) {
        *match outcome {
            Some(AttemptOutcome::Sent) => &mut self.sent,
            Some(AttemptOutcome::Throttled) => &mut self.throttled,
            Some(AttemptOutcome::Refused) => &mut self.refused,
            Some(AttemptOutcome::Failed) => &mut self.failed,
            Some(AttemptOutcome::Unknown) => &mut self.unknown,
            None => &mut self.unrecorded,
        } += 1;
    }
}

/// Sends the due invitations until none is left or the deadline is near. What is claimed is sent at
/// once: no claimed invitation waits for others.
pub async fn handle(app: &App, deadline: Instant) -> Result<Report, QueryError> {
    metrics::oldest_queued_invitation(overdue(&app.db).await?);
    give_up(&app.db).await?;
    let mut report = Report::default();
    let mut pace = Pace::new(app.send_rate);
    let mut turn = Turn::default();
    let mut being_sent = FuturesUnordered::new();
    // It is at work beside the others, which have connections to the database that it may wait for.
    let mut claiming: Option<BoxFuture<'_, Result<Claim, QueryError>>> = None;
    let mut tick = interval(pace::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut may_be_more = true;
    while may_be_more || !being_sent.is_empty() {
        tokio::select! {
            Some((channel, outcome)) = being_sent.next() => {
                report.count(outcome);
                if outcome == Some(AttemptOutcome::Throttled) {
                    pace.pause(channel, Instant::now());
                }
            }
            claim = async { claiming.as_mut().expect("a claim is made").await }, if claiming.is_some() => {
                claiming = None;
                let claim = claim?;
                turn = claim.next_turn;
                pace.took(claim.claimed.len());
                may_be_more = !claim.is_last;
                being_sent.extend(claim.claimed.into_iter().map(|claimed| deliver(app, claimed)));
            }
            now = tick.tick(), if may_be_more && claiming.is_none() => {
                may_be_more = now + LONGEST_DELIVERY < deadline;
                let number = pace.allows(now, being_sent.len());
                let channels = pace.channels(now);
                if may_be_more && number > 0 && !channels.is_empty() {
                    claiming = Some(turn.claim(&app.db, number, channels).boxed());
                }
            }
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

async fn give_up(db: &Db) -> Result<(), QueryError> {
    let parameters = [
        (&MAX_ATTEMPTS as _, Type::INT4),
        (&GIVEN_UP as _, Type::TEXT),
    ];
    let given_up = db.query(GIVE_UP, &parameters).await?;
    metrics::invitations("failed", given_up.len());
    Ok(())
}

/// The channel, and the outcome if it could be recorded. An invitation that can't be written, or
/// makes the code panic, is not in the way of the others.
async fn deliver(app: &App, claimed: Claimed) -> (Channel, Option<AttemptOutcome>) {
    let (channel, attempt) = (claimed.channel, claimed.attempt());
    let invitation_id = attempt.invitation_id;
    let delivered = async {
        let Some(leased) = claimed.leased() else {
            tracing::error!(%invitation_id, "the invitation can't be written");
            let unsendable = Err(SendError::Refused(UNSENDABLE));
            attempt.record(&app.db, &unsendable).await?;
            return Ok(AttemptOutcome::Refused);
        };
        let (outcome, _recorded) = app.sender.deliver(&app.db, &leased).await?;
        Ok::<_, QueryError>(outcome)
    };
    let outcome = match AssertUnwindSafe(delivered).catch_unwind().await {
        Ok(Ok(outcome)) => Some(outcome),
        Ok(Err(error)) => {
            tracing::warn!(%invitation_id, %error, "the attempt is not recorded");
            None
        }
        Err(_panic) => {
            tracing::error!(%invitation_id, "the attempt panicked");
            None
        }
    };
    (channel, outcome)
}
