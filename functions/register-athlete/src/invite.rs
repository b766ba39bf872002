use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    registration::MAX_DRAWS,
};
use serde::Serialize;
use shared::{
    domain::{
        AthleteCode, Channel, Email, InvitationStatus, Subject,
        limits::{DOUBLE_CLICK, MAX_RENEWALS, RENEWAL_PERIOD},
    },
    platform::{
        auth::caller,
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Fields, Request, Response, body, no_query, path_id},
        metrics,
        problem::Problem,
    },
};
use std::collections::HashMap;
use uuid::Uuid;

/// Athletes whose invitations one request may have sent.
const MAX_ATHLETES: usize = 500;

/// Locks the athletes, so that nobody else renews, revokes or accepts their invitations meanwhile,
/// and the gym, so that it is not closed. They are locked in the order of their ids: two requests
/// wait for each other, and never both.
///
/// $1 subject, $2 business, $3 athletes.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete on its roster, or one
/// without an id where none is.
const LOCK_TO_INVITE: &str = "-- lock_to_invite
    WITH gym AS (
        SELECT business.id
        FROM gym_of($1, $2) AS gym JOIN business ON business.id = gym.id
        WHERE business.closed_at IS NULL
        FOR KEY SHARE OF business
    ), locked AS (
        SELECT id, email, user_id IS NOT NULL AS is_linked
        FROM athlete
        WHERE id = ANY($3) AND invited_by = $2 AND removed_at IS NULL AND EXISTS (SELECT FROM gym)
        ORDER BY id
        FOR UPDATE
    )
    SELECT locked.id, locked.email, locked.is_linked FROM gym LEFT JOIN locked ON true";

/// The last invitation of each athlete, and the number of renewals within the period. Every
/// invitation but the athlete's first one is a renewal.
///
/// $1 athletes, $2 seconds of the period in which renewals count, $3 seconds of a double click.
const INVITATION_HISTORIES: &str = "-- invitation_histories
    SELECT wanted.id, last.id AS last_id, last.status AS last_status,
           last.is_renewal AND last.created_at > statement_timestamp() - make_interval(secs => $3)
               AS is_double_click,
           renewed.renewals, renewed.retry_after
    FROM unnest($1) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT id, status, created_at, lag(id) OVER (ORDER BY created_at, id) IS NOT NULL AS is_renewal
        FROM invitation WHERE athlete_id = wanted.id
        ORDER BY created_at DESC, id DESC
        LIMIT 1
    ) AS last
    CROSS JOIN LATERAL (
        SELECT count(*) AS renewals,
               ceil(extract(epoch FROM min(created_at) - statement_timestamp()) + $2)::bigint AS retry_after
        FROM (
            SELECT created_at, lag(id) OVER (ORDER BY created_at, id) IS NOT NULL AS is_renewal
            FROM invitation WHERE athlete_id = wanted.id
        ) AS invited
        WHERE is_renewal AND created_at > statement_timestamp() - make_interval(secs => $2)
    ) AS renewed";

/// Gives new codes to athletes. $1 athletes, $2 codes, in one order.
const CHANGE_CODES: &str = "-- change_codes
    UPDATE athlete SET athlete_code = given.code
    FROM unnest($1, $2) AS given (id, code)
    WHERE athlete.id = given.id";

/// Ends the open invitations. $1 athletes.
const END_INVITATIONS: &str = "-- end_invitations
    UPDATE invitation SET status = CASE WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
    WHERE athlete_id = ANY($1) AND NOT has_ended(status)";

/// Makes new invitations, which nobody has the lease on: the relay sends those that are queued.
///
/// $1 athletes, $2 channels, $6 ids, in one order, $3 business, $4 state, $5 days for which they
/// are valid.
const INVITE_ATHLETES: &str = "-- invite_athletes
    INSERT INTO invitation (id, athlete_id, channel, status, attempts, created_at, next_attempt_at, expires_at)
    SELECT given.id, given.athlete_id, given.channel, $4, 0, at, at, end_of_day($5, business.time_zone)
    FROM business, statement_timestamp() AS at, unnest($1, $2, $6) AS given (athlete_id, channel, id)
    WHERE business.id = $3
    ON CONFLICT (id) DO NOTHING";

/// $1 athletes.
const READ_ATHLETES: &str = concat!(
    "-- read_athletes
    SELECT ",
    roster_columns!(),
    " FROM unnest($1) AS wanted (id) JOIN roster ON roster.id = wanted.id"
);

/// The athletes whose invitations are to be sent, for the first time or again.
struct Input {
    athlete_ids: Vec<Uuid>,
}

impl Input {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let athlete_ids = body.required_ids("athlete_ids", 1..=MAX_ATHLETES);
        body.finish(athlete_ids.map(|athlete_ids| Self { athlete_ids }))
    }
}

/// What became of one athlete's invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum InviteOutcome {
    /// A new invitation is queued.
    Queued,
    /// An invitation was queued a moment ago, and counts for this request too.
    JustSent,
    /// The athlete has accepted an invitation.
    AlreadyLinked,
    /// The athlete was invited again as often as a day allows.
    TooManyInvitations,
    /// The athlete is not on the gym's roster.
    NotInGym,
}

#[derive(Serialize)]
struct Item {
    athlete_id: Uuid,
    outcome: InviteOutcome,
    /// Seconds after which the athlete can be invited again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<i64>,
    athlete: Option<Athlete>,
}

#[derive(Serialize)]
struct Invited {
    counts: Counts,
    items: Vec<Item>,
}

/// The items by their outcome.
#[derive(Serialize)]
struct Counts {
    queued: usize,
    just_sent: usize,
    already_linked: usize,
    too_many_invitations: usize,
    not_in_gym: usize,
}

impl Counts {
    fn of(items: &[Item]) -> Self {
        let count = |outcome| items.iter().filter(|item| item.outcome == outcome).count();
        Self {
            queued: count(InviteOutcome::Queued),
            just_sent: count(InviteOutcome::JustSent),
            already_linked: count(InviteOutcome::AlreadyLinked),
            too_many_invitations: count(InviteOutcome::TooManyInvitations),
            not_in_gym: count(InviteOutcome::NotInGym),
        }
    }
}

/// Has the invitations of many athletes sent: those that are held for the first time, the others
/// again. The relay sends them.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let subject = caller(request)?.subject;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let Input { athlete_ids } = Input::read(body(request)?)?;

    let invitation_ids = athlete_ids.iter().map(|id| (*id, Uuid::now_v7())).collect();
    let wanted = Wanted {
        subject,
        business_id,
        athlete_ids,
        invitation_ids,
    };
    for _ in 0..MAX_DRAWS {
        match app.db.transaction(|tx| wanted.invite(tx, app)).await {
            Ok(Some(items)) => {
                let counts = Counts::of(&items);
                metrics::invitations("queued", counts.queued);
                return Ok(Response::accepted(&Invited { counts, items }));
            }
            Ok(None) => return Err(Problem::not_found("gym")),
            Err(error) if error.constraint() == Some("athlete_code_key") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::internal(format!(
        "no free codes in {MAX_DRAWS} draws"
    )))
}

struct Wanted {
    subject: Subject,
    business_id: Uuid,
    athlete_ids: Vec<Uuid>,
    /// The ids of the invitations that this request makes, by athlete, however often its
    /// transaction is run.
    invitation_ids: HashMap<Uuid, Uuid>,
}

impl Wanted {
    /// Ends the open invitations and queues new ones. None where the gym is not the caller's.
    ///
    /// Where the last invitation was revoked, the athlete has a new code. Otherwise the code stays.
    async fn invite(&self, tx: Transaction, app: &App) -> Result<Option<Vec<Item>>, QueryError> {
        let parameters: [Parameter<'_>; 3] = [
            (&self.subject, Type::TEXT),
            (&self.business_id, Type::UUID),
            (&self.athlete_ids, Type::UUID_ARRAY),
        ];
        let locked = tx.query(LOCK_TO_INVITE, &parameters).await?;
        if locked.is_empty() {
            return Ok(None);
        }
        let locked: HashMap<Uuid, &Row> = locked
            .iter()
            .filter_map(|row| Some((row.get::<_, Option<Uuid>>("id")?, row)))
            .collect();
        let ids: Vec<Uuid> = locked.keys().copied().collect();
        let history: [Parameter<'_>; 3] = [
            (&ids, Type::UUID_ARRAY),
            (&RENEWAL_PERIOD.as_secs_f64(), Type::FLOAT8),
            (&DOUBLE_CLICK.as_secs_f64(), Type::FLOAT8),
        ];
        let histories = tx.query(INVITATION_HISTORIES, &history).await?;
        let histories = histories.iter().map(|row| (row.get("id"), row));
        let histories: HashMap<Uuid, &Row> = histories.collect();

        let mut outcomes: HashMap<Uuid, InviteOutcome> = HashMap::new();
        let (mut new, mut recoded) = (Vec::new(), Vec::new());
        let mut in_order: Vec<_> = locked.iter().collect();
        in_order.sort_by_key(|(id, _)| **id);
        for (id, athlete) in in_order {
            let history = histories.get(id);
            let own_id = self.invitation_ids[id];
            // Where this transaction was committed before its connection died, it finds its own
            // invitations.
            let is_there = history.is_some_and(|last| last.get::<_, Uuid>("last_id") == own_id);
            let outcome = if is_there {
                InviteOutcome::Queued
            } else {
                outcome(athlete, history.copied())
            };
            if outcome == InviteOutcome::Queued && !is_there {
                let email: Option<Email> = athlete.get("email");
                new.push(NewInvitation {
                    id: own_id,
                    athlete_id: *id,
                    channel: Channel::to(email.as_ref()),
                });
                let was_revoked = history.is_some_and(|last| {
                    last.get::<_, InvitationStatus>("last_status") == InvitationStatus::Revoked
                });
                if was_revoked {
                    recoded.push(*id);
                }
            }
            outcomes.insert(*id, outcome);
        }
        if !recoded.is_empty() {
            let codes: Vec<AthleteCode> = recoded.iter().map(|_| (app.draw_code)()).collect();
            let codes: [Parameter<'_>; 2] =
                [(&recoded, Type::UUID_ARRAY), (&codes, Type::TEXT_ARRAY)];
            tx.query(CHANGE_CODES, &codes).await?;
        }
        let status = InvitationStatus::Queued;
        invite(&tx, app, self.business_id, status, &new).await?;
        let mut athletes = read_athletes(&tx, app, &ids).await?;

        let items = self.athlete_ids.iter().map(|id| {
            let outcome = outcomes.get(id).copied();
            let outcome = outcome.unwrap_or(InviteOutcome::NotInGym);
            let retry_after = histories.get(id).map(|history| history.get("retry_after"));
            Item {
                athlete_id: *id,
                outcome,
                retry_after: retry_after
                    .filter(|_| outcome == InviteOutcome::TooManyInvitations)
                    .flatten(),
                athlete: athletes.remove(id),
            }
        });
        Ok(Some(items.collect()))
    }
}

/// What is to become of an athlete's invitation.
fn outcome(athlete: &Row, history: Option<&Row>) -> InviteOutcome {
    if athlete.get("is_linked") {
        return InviteOutcome::AlreadyLinked;
    }
    let Some(history) = history else {
        return InviteOutcome::Queued;
    };
    let last: InvitationStatus = history.get("last_status");
    if history.get("is_double_click") && last != InvitationStatus::Revoked {
        InviteOutcome::JustSent
    } else if history.get::<_, i64>("renewals") >= MAX_RENEWALS {
        InviteOutcome::TooManyInvitations
    } else {
        InviteOutcome::Queued
    }
}

/// An invitation that is to be made.
pub(crate) struct NewInvitation {
    pub(crate) id: Uuid,
    pub(crate) athlete_id: Uuid,
    pub(crate) channel: Channel,
}

/// Ends the open invitations of athletes who are locked, and makes new ones.
pub(crate) async fn invite(
    tx: &Transaction,
    app: &App,
    business_id: Uuid,
    status: InvitationStatus,
    new: &[NewInvitation],
) -> Result<(), QueryError> {
    if new.is_empty() {
        return Ok(());
    }
    let athlete_ids: Vec<Uuid> = new.iter().map(|new| new.athlete_id).collect();
    let channels: Vec<Channel> = new.iter().map(|new| new.channel).collect();
    let ids: Vec<Uuid> = new.iter().map(|new| new.id).collect();
    let athletes: Parameter<'_> = (&athlete_ids, Type::UUID_ARRAY);
    tx.query(END_INVITATIONS, std::slice::from_ref(&athletes))
        .await?;
    let parameters: [Parameter<'_>; 6] = [
        athletes,
        (&channels, Type::TEXT_ARRAY),
        (&business_id, Type::UUID),
        (&status, Type::TEXT),
        (&app.invitation_days, Type::INT4),
        (&ids, Type::UUID_ARRAY),
    ];
    tx.query(INVITE_ATHLETES, &parameters).await.map(drop)
}

/// The athletes on the roster, as they are at this point of the transaction.
pub(crate) async fn read_athletes(
    tx: &Transaction,
    app: &App,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Athlete>, QueryError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx.query(READ_ATHLETES, &[(&ids, Type::UUID_ARRAY)]).await?;
    let athletes = rows.iter().map(|row| Athlete::from_row(row, &app.app_url));
    Ok(athletes.map(|athlete| (athlete.id, athlete)).collect())
}
