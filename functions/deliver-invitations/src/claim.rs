use shared::{
    domain::{
        Channel,
        limits::{LEASE, MAX_ATTEMPTS},
    },
    invitations::{
        Message,
        delivery::{Attempt, Leased},
    },
    platform::db::{Db, Parameter, QueryError, Row, Type},
};
use uuid::Uuid;

/// Claims due invitations: this relay gets a lease on them. Gyms are served in turn, in the order
/// of their ids: each gets an equal part, and within a gym the invitation that has waited longest
/// is first. Those that another relay is claiming at this moment are passed over. If a relay dies,
/// its invitations stay queued, and are claimed again when the lease has ended. Nothing is sent for
/// a closed gym or to a removed athlete.
///
/// $1 number of invitations, $2 seconds of the lease, $3 id of this claim: the same id again claims
/// no others, $4 channels, $5 the last gym that was served, $6 attempts at most.
///
/// One row for each invitation, or one without an id where none was claimed. Each has `gyms`, how
/// many were served, at most $1, and `last_gym` of them.
const CLAIM_DUE: &str = r#"-- claim_due
    WITH RECURSIVE waiting (gym_id) AS (
        SELECT $5
        UNION ALL
        SELECT (
            SELECT business_id FROM invitation
            WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now() AND channel = ANY ($4)
              AND business_id > waiting.gym_id AND NOT is_exhausted(invitation, $6)
            ORDER BY business_id, next_attempt_at
            LIMIT 1
        )
        FROM waiting WHERE waiting.gym_id IS NOT NULL
    ), turn AS (
        SELECT gym_id FROM waiting WHERE gym_id > $5 LIMIT $1
    ), mine AS (
        SELECT id FROM invitation WHERE claim = $3
    ), due AS (
        SELECT found.id
        FROM turn CROSS JOIN LATERAL (
            SELECT invitation.id
            FROM invitation
            JOIN athlete ON athlete.id = invitation.athlete_id
            JOIN business ON business.id = athlete.invited_by
            WHERE invitation.business_id = turn.gym_id AND invitation.status = 'queued' AND next_attempt_at <= now()
              AND expires_at > now() AND channel = ANY ($4) AND NOT is_exhausted(invitation, $6)
              AND athlete.removed_at IS NULL AND business.closed_at IS NULL
            ORDER BY next_attempt_at
            LIMIT ($1 + (SELECT count(*) FROM turn) - 1) / (SELECT count(*) FROM turn)
            FOR UPDATE OF invitation SKIP LOCKED
        ) AS found
        WHERE NOT EXISTS (SELECT FROM mine)
        LIMIT $1
    ), claimed AS (
        UPDATE invitation
        SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2), claim = $3,
            settled_attempt = least(settled_attempt, attempts),
            unknown_attempt = CASE WHEN settled_attempt < attempts THEN attempts ELSE unknown_attempt END
        FROM due
        WHERE invitation.id = due.id
        RETURNING invitation.id, invitation.athlete_id, invitation.attempts, invitation.channel, invitation.expires_at
    ), leased AS (
        SELECT id, athlete_id, attempts, channel, expires_at FROM claimed
        UNION ALL
        SELECT invitation.id, athlete_id, attempts, channel, expires_at FROM mine JOIN invitation ON invitation.id = mine.id
    )
    SELECT served.gyms, served.last_gym, leased.id AS invitation_id, leased.attempts, leased.channel,
           last_day(leased.expires_at, business.time_zone) AS last_day,
           CASE leased.channel WHEN 'sms' THEN athlete.phone ELSE athlete.email END AS recipient,
           athlete.full_name, athlete.locale, athlete.athlete_code, athlete.contact_is_shared,
           business.name AS business_name, owner.email AS owner_email
    FROM (SELECT count(*) AS gyms, max(gym_id::text)::uuid AS last_gym FROM turn) AS served
    LEFT JOIN (
        leased
        JOIN known_athlete AS athlete ON athlete.id = leased.athlete_id
        JOIN business ON business.id = athlete.business_id
        JOIN "user" AS owner ON owner.id = business.user_id
    ) ON true"#;

/// An invitation on which this relay has the lease.
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) number: i32,
    pub(crate) channel: Channel,
    message: Option<Message>,
}

impl Claimed {
    /// The invitation of a row that has one.
    fn from_row(row: &Row) -> Option<Self> {
        Some(Self {
            id: row.get::<_, Option<Uuid>>("invitation_id")?,
            number: row.get("attempts"),
            channel: row.get("channel"),
            message: message(row),
        })
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt {
            invitation_id: self.id,
            number: self.number,
        }
    }

    /// The invitation to be sent; none if it can't be written.
    pub(crate) fn leased(self) -> Option<Leased> {
        Some(Leased {
            id: self.id,
            attempt: self.number,
            channel: self.channel,
            message: self.message?,
        })
    }
}

/// The content of an invitation; none if a column has no value, or one that is not understood.
fn message(row: &Row) -> Option<Message> {
    Some(Message {
        to: row.try_get("recipient").ok()?,
        business: row.try_get("business_name").ok()?,
        reply_to: row.try_get("owner_email").ok()?,
        full_name: row.try_get("full_name").ok()?,
        is_shared: row.try_get("contact_is_shared").ok()?,
        locale: row.try_get("locale").ok()?,
        athlete_code: row.try_get("athlete_code").ok()?,
        last_day: row.try_get("last_day").ok()?,
    })
}

/// The place in the order in which gyms are served.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turn {
    /// The gym that was served last; none before the first one.
    after: Uuid,
}

/// The invitations that were claimed at once.
pub(crate) struct Claim {
    pub(crate) claimed: Vec<Claimed>,
    pub(crate) next_turn: Turn,
    /// True if nothing is due in any gym by any channel.
    pub(crate) is_last: bool,
}

impl Turn {
    /// Claims at most `number` invitations for these channels.
    pub(crate) async fn claim(
        self,
        db: &Db,
        number: usize,
        channels: Vec<Channel>,
    ) -> Result<Claim, QueryError> {
        let number = i64::try_from(number).expect("the number is small");
        let parameters: [Parameter<'_>; 6] = [
            (&number, Type::INT8),
            (&LEASE.as_secs_f64(), Type::FLOAT8),
            (&Uuid::now_v7(), Type::UUID),
            (&channels, Type::TEXT_ARRAY),
            (&self.after, Type::UUID),
            (&MAX_ATTEMPTS, Type::INT4),
        ];
        let rows = db.query(CLAIM_DUE, &parameters).await?;
        let first = rows.first().ok_or(QueryError::RowCount(0))?;
        let claimed: Vec<Claimed> = rows.iter().filter_map(Claimed::from_row).collect();
        let were_all_served = first.get::<_, i64>("gyms") < number;
        let after = match first.get("last_gym") {
            Some(gym) if !were_all_served => gym,
            _ => Uuid::nil(),
        };
        Ok(Claim {
            is_last: were_all_served
                && self.after.is_nil()
                && claimed.is_empty()
                && channels.len() == Channel::ALL.len(),
            claimed,
            next_turn: Self { after },
        })
    }
}
