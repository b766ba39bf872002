use super::{
    candidates::Candidate,
    decision::{Decision, Found, SoFar},
};
use crate::{
    app::App,
    athlete::roster_columns,
    invite::{NewInvitation, invite, read_athletes},
    registration::Registration,
};
use shared::{
    domain::{AthleteCode, Channel, Email, InvitationStatus, Name, Phone, Subject},
    platform::db::{Parameter, QueryError, Row, Transaction, Type},
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Locks the gym, so that nobody else is registered there meanwhile, and it is not closed.
///
/// $1 subject, $2 business.
///
/// No row: the gym is not the caller's.
const LOCK_GYM_TO_IMPORT: &str = "-- lock_gym_to_import
    SELECT business.id
    FROM gym_of($1, $2) AS gym JOIN business ON business.id = gym.id
    WHERE business.closed_at IS NULL
    FOR UPDATE OF business";

/// Of the athletes on the gym's roster with one of these contacts, the one that register-athlete
/// would find: the one with the same name, else one without a name.
///
/// $1 subject, $2 business, $3 ids that were given, $4 emails, $5 phones, $6 full names, all in one
/// order.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete that was found, or one
/// without an id where none was.
const FIND_BY_CONTACTS: &str = concat!(
    "-- find_by_contacts
    WITH given AS (
        SELECT id, email, phone, name_key(full_name) AS name
        FROM unnest($3, $4, $5, $6) AS given (id, email, phone, full_name)
    ), found AS (
        SELECT given.id AS given_id, athlete.id, athlete.has_the_name, athlete.someone_is_written_to
        FROM given CROSS JOIN LATERAL (
            SELECT matching.id, name_key(full_name) = given.name AS has_the_name,
                   bool_or(coalesce(email, phone) = coalesce(given.email, given.phone)) OVER () AS someone_is_written_to
            FROM (
                SELECT id, email, phone, full_name, created_at FROM athlete
                WHERE invited_by = $2 AND removed_at IS NULL
                  AND coalesce(email, phone) = coalesce(given.email, given.phone)
                UNION
                SELECT id, email, phone, full_name, created_at FROM athlete
                WHERE invited_by = $2 AND removed_at IS NULL AND phone = given.phone
                  AND (email IS NULL OR given.email IS NULL)
            ) AS matching
            ORDER BY matching.id = given.id DESC, (name_key(full_name) = given.name) IS TRUE DESC,
                     full_name IS NULL DESC, (email = given.email) IS TRUE DESC, created_at, matching.id
            LIMIT 1
        ) AS athlete
    )
    SELECT found.given_id, found.has_the_name, found.someone_is_written_to, ",
    roster_columns!(),
    " FROM gym_of($1, $2) AS gym
    LEFT JOIN (found JOIN roster ON roster.id = found.id) ON true"
);

/// Registers athletes with their invitations, which nobody has the lease on: the relay sends those
/// that are queued.
///
/// Its times come from `statement_timestamp()`: the transaction may have waited for the gym.
///
/// $1 business, $2 ids, $3 codes, $4 emails, $5 phones, $6 full names, $7 locales, $8 channels, $9
/// whether the contact is shared, $10 days for which the invitations are valid, $11 their state;
/// all lists are in one order.
const IMPORT_ATHLETES: &str = "-- import_athletes
    WITH registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale, shares_contact, created_at)
        SELECT given.id, gym.id, code, email, phone, full_name, coalesce(given.locale, gym.locale), shares_contact,
               statement_timestamp()
        FROM business AS gym, unnest($2, $3, $4, $5, $6, $7, $9)
            AS given (id, code, email, phone, full_name, locale, shares_contact)
        WHERE gym.id = $1
        ON CONFLICT (id) DO NOTHING
        RETURNING id
    )
    INSERT INTO invitation (athlete_id, channel, status, attempts, created_at, next_attempt_at, expires_at)
    SELECT registered.id, given.channel, $11, 0, statement_timestamp(), statement_timestamp(),
           end_of_day($10, gym.time_zone)
    FROM business AS gym, registered JOIN unnest($2, $8) AS given (id, channel) USING (id)
    WHERE gym.id = $1";

/// Gives addresses to athletes who have none. Who has not signed up gets a new code as well.
///
/// $1 athletes, $2 emails, $3 codes, $4 whether the contact is shared, all in one order.
///
/// One row for each who has not signed up.
const ADD_ADDRESSES: &str = "-- add_addresses
    WITH added AS (
        UPDATE athlete
        SET email = given.email, shares_contact = given.shares_contact,
            athlete_code = CASE WHEN user_id IS NULL THEN given.code ELSE athlete_code END
        FROM unnest($1, $2, $3, $4) AS given (id, email, code, shares_contact)
        WHERE athlete.id = given.id
        RETURNING athlete.id, athlete.user_id
    )
    SELECT id FROM added WHERE user_id IS NULL";

/// The gym, and how its athletes are to be registered.
pub(super) struct Gym {
    pub(super) subject: Subject,
    pub(super) business_id: Uuid,
    /// The first state of the invitations.
    pub(super) status: InvitationStatus,
    /// The same contact with another name is another person.
    pub(super) shared_contacts: bool,
}

/// The athletes that are to be registered. Each has an id of its own, by which all that becomes of
/// it is found.
pub(super) struct Plan<'a> {
    gym: &'a Gym,
    ids: Vec<Uuid>,
    athletes: Vec<&'a Registration>,
    /// The index of the item that each athlete is.
    indices: Vec<usize>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(gym: &'a Gym, candidates: &'a [Candidate]) -> Self {
        let new = candidates.iter().enumerate();
        let new = new.filter_map(|(index, new)| Some((index, new.registration.as_ref()?)));
        let (indices, athletes): (Vec<_>, Vec<_>) = new.unzip();
        Self {
            gym,
            ids: indices.iter().map(|_| Uuid::now_v7()).collect(),
            athletes,
            indices,
        }
    }

    /// What would be done for each athlete, by its index; none where the gym is not the caller's.
    pub(super) async fn decide(
        &self,
        tx: Transaction,
        app: &App,
    ) -> Result<Option<HashMap<usize, Decision>>, QueryError> {
        let Some(found) = self.find(&tx).await? else {
            return Ok(None);
        };
        Ok(Some(self.decisions(&found, app)))
    }

    /// Decides and does it, in a gym that is locked: what is decided stays right. With
    /// `all_or_none`, nothing is done where a contact is in use.
    pub(super) async fn carry_out(
        &self,
        tx: Transaction,
        app: &App,
        all_or_none: bool,
    ) -> Result<Option<HashMap<usize, Decision>>, QueryError> {
        let gym: [Parameter<'_>; 2] = [
            (&self.gym.subject, Type::TEXT),
            (&self.gym.business_id, Type::UUID),
        ];
        if tx.query_opt(LOCK_GYM_TO_IMPORT, &gym).await?.is_none() {
            return Ok(None);
        }
        let Some(found) = self.find(&tx).await? else {
            return Ok(None);
        };
        let mut decisions = self.decisions(&found, app);
        let in_use = |decision: &Decision| matches!(decision, Decision::InUse(_));
        if all_or_none && decisions.values().any(in_use) {
            return Ok(Some(decisions));
        }
        if decisions.values().any(Decision::is_change) {
            self.create(&tx, app, &decisions).await?;
            self.add_addresses(&tx, app, &decisions).await?;
            self.read_again(&tx, app, &mut decisions).await?;
        }
        Ok(Some(decisions))
    }

    /// The rows of the athletes that are there; none where the gym is not the caller's.
    async fn find(&self, tx: &Transaction) -> Result<Option<Vec<Row>>, QueryError> {
        let full_names: Vec<&Option<Name>> = self.athletes.iter().map(|a| &a.full_name).collect();
        let emails: Vec<&Option<Email>> = self.athletes.iter().map(|a| &a.contact.email).collect();
        let phones: Vec<&Option<Phone>> = self.athletes.iter().map(|a| &a.contact.phone).collect();
        let parameters: [Parameter<'_>; 6] = [
            (&self.gym.subject, Type::TEXT),
            (&self.gym.business_id, Type::UUID),
            (&self.ids, Type::UUID_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&phones, Type::TEXT_ARRAY),
            (&full_names, Type::TEXT_ARRAY),
        ];
        let rows = tx.query(FIND_BY_CONTACTS, &parameters).await?;
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    /// What follows for each athlete, in their order, from those that are there.
    fn decisions(&self, found: &[Row], app: &App) -> HashMap<usize, Decision> {
        let found = found
            .iter()
            .filter_map(|row| Some((row.get::<_, Option<Uuid>>("given_id")?, row)));
        let found: HashMap<Uuid, &Row> = found.collect();
        let mut so_far = SoFar::default();
        let given = self.indices.iter().zip(&self.ids).zip(&self.athletes);
        let decided = given.map(|((index, id), registration)| {
            let found = found.get(id).map(|row| Found::from_row(row, app));
            let shared_contacts = self.gym.shared_contacts;
            (
                *index,
                so_far.decide(*id, registration, found, shared_contacts),
            )
        });
        decided.collect()
    }

    async fn create(
        &self,
        tx: &Transaction,
        app: &App,
        decisions: &HashMap<usize, Decision>,
    ) -> Result<(), QueryError> {
        let given = self.indices.iter().zip(&self.ids).zip(&self.athletes);
        let new = given.filter_map(|((index, id), athlete)| match decisions.get(index)? {
            Decision::Create {
                shares_contact,
                athlete: None,
            } => Some((*id, *athlete, *shares_contact)),
            _ => None,
        });
        let new: Vec<(Uuid, &Registration, bool)> = new.collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = new.iter().map(|(id, ..)| *id).collect();
        let codes = different_codes(app, new.len());
        let emails: Vec<_> = new.iter().map(|(_, a, _)| &a.contact.email).collect();
        let phones: Vec<_> = new.iter().map(|(_, a, _)| &a.contact.phone).collect();
        let full_names: Vec<_> = new.iter().map(|(_, a, _)| &a.full_name).collect();
        let locales: Vec<_> = new.iter().map(|(_, a, _)| &a.locale).collect();
        let channels: Vec<Channel> = new.iter().map(|(_, a, _)| a.channel()).collect();
        let shares: Vec<bool> = new.iter().map(|(.., shares)| *shares).collect();
        let parameters: [Parameter<'_>; 11] = [
            (&self.gym.business_id, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&phones, Type::TEXT_ARRAY),
            (&full_names, Type::TEXT_ARRAY),
            (&locales, Type::TEXT_ARRAY),
            (&channels, Type::TEXT_ARRAY),
            (&shares, Type::BOOL_ARRAY),
            (&app.invitation_days, Type::INT4),
            (&self.gym.status, Type::TEXT),
        ];
        tx.query(IMPORT_ATHLETES, &parameters).await.map(drop)
    }

    async fn add_addresses(
        &self,
        tx: &Transaction,
        app: &App,
        decisions: &HashMap<usize, Decision>,
    ) -> Result<(), QueryError> {
        let given = self.indices.iter().zip(&self.athletes);
        let added = given.filter_map(|(index, registration)| match decisions.get(index)? {
            Decision::AddEmail {
                shares_contact,
                athlete,
            } => Some((
                athlete.id,
                registration.contact.email.as_ref()?,
                *shares_contact,
            )),
            _ => None,
        });
        let mut added: Vec<(Uuid, &Email, bool)> = added.collect();
        if added.is_empty() {
            return Ok(());
        }
        added.sort_by_key(|(id, ..)| *id);
        let ids: Vec<Uuid> = added.iter().map(|(id, ..)| *id).collect();
        let emails: Vec<&Email> = added.iter().map(|(_, email, _)| *email).collect();
        let codes = different_codes(app, added.len());
        let shares: Vec<bool> = added.iter().map(|(.., shares)| *shares).collect();
        let parameters: [Parameter<'_>; 4] = [
            (&ids, Type::UUID_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&shares, Type::BOOL_ARRAY),
        ];
        let rows = tx.query(ADD_ADDRESSES, &parameters).await?;
        let new = rows.iter().map(|row| NewInvitation {
            id: Uuid::now_v7(),
            athlete_id: row.get("id"),
            channel: Channel::Email,
        });
        let new: Vec<NewInvitation> = new.collect();
        invite(tx, app, self.gym.business_id, self.gym.status, &new).await
    }

    /// Reads the athletes as the roster shows them now: also those who were there may share their
    /// contact by now.
    async fn read_again(
        &self,
        tx: &Transaction,
        app: &App,
        decisions: &mut HashMap<usize, Decision>,
    ) -> Result<(), QueryError> {
        let own: HashMap<usize, Uuid> = self
            .indices
            .iter()
            .copied()
            .zip(self.ids.iter().copied())
            .collect();
        let id_of = |index: &usize, decision: &Decision| match decision {
            Decision::Create { .. } => own.get(index).copied(),
            Decision::AddEmail { athlete, .. } | Decision::Known(athlete) => Some(athlete.id),
            Decision::InUse(_) => None,
        };
        let changed = decisions
            .iter()
            .filter_map(|(index, decision)| id_of(index, decision));
        let mut now = read_athletes(tx, app, &changed.collect::<Vec<_>>()).await?;
        for (index, decision) in decisions.iter_mut() {
            let Some(changed) = id_of(index, decision).and_then(|id| now.remove(&id)) else {
                continue;
            };
            match decision {
                Decision::Create { athlete, .. } => *athlete = Some(Box::new(changed)),
                Decision::AddEmail { athlete, .. } | Decision::Known(athlete) => {
                    **athlete = changed;
                }
                Decision::InUse(_) => {}
            }
        }
        Ok(())
    }
}

/// So many codes, none of them twice.
fn different_codes(app: &App, number: usize) -> Vec<AthleteCode> {
    let mut codes: Vec<AthleteCode> = Vec::with_capacity(number);
    let mut drawn = HashSet::new();
    while codes.len() < number {
        let code = (app.draw_code)();
        if drawn.insert(code.to_string()) {
            codes.push(code);
        }
    }
    codes
}
