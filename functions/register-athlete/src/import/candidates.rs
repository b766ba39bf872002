use crate::registration::Registration;
use shared::{
    domain::{ErrorCode, Name},
    platform::{
        http::Fields,
        problem::{FieldError, Warning},
    },
};
use std::collections::HashMap;

/// One of the athletes that were sent: to be registered, the same as one before it, or with faults.
pub(super) struct Candidate {
    /// Its row in the table.
    pub(super) row: Option<usize>,
    /// The athlete, if there are no errors. One that was merged has been taken out.
    registration: Option<Registration>,
    /// The fields that the athlete it was merged into has otherwise.
    pub(super) differs: Vec<&'static str>,
    /// The index of the athlete that this is the same as.
    pub(super) merged_into: Option<usize>,
    pub(super) errors: Vec<FieldError>,
    pub(super) warnings: Vec<Warning>,
}

impl Candidate {
    pub(super) fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    pub(super) fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

/// Reads all, and merges what is one athlete: the same contact with the same name, or without a name.
pub(super) fn candidates(all: Vec<Fields>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::with_capacity(all.len());
    let mut known = Known::default();
    for mut fields in all {
        let row = fields.row();
        let place = fields.place();
        let registration = Registration::read(&mut fields, None).ok();
        let warnings = registration.as_ref().map(|registration| registration.warnings(&fields)).unwrap_or_default();
        let index = candidates.len();
        let mut candidate = Candidate {
            row,
            registration,
            differs: Vec::new(),
            merged_into: None,
            errors: Vec::new(),
            warnings,
        };
        // A field too many is an error as well.
        if fields.is_faultless()
            && let Some(registration) = &candidate.registration
            && let Some((first, field)) = known.find(registration, &candidates)
        {
            let before = candidates[first].registration.as_mut().expect("what is known is to be registered");
            if is_same(before.full_name.as_ref(), registration.full_name.as_ref()) {
                candidate.differs = before.complete(registration);
                known.add(first, before, &place);
                candidate.merged_into = Some(first);
                candidate.registration = None;
            } else {
                let detail = format!(
                    "is the contact of another name in {}: give each person a contact of their own",
                    known.place(first)
                );
                fields.note(field, ErrorCode::ContactInUse, detail);
            }
        }
        candidate.errors = fields.into_errors();
        if !candidate.errors.is_empty() {
            candidate.registration = None;
        }
        if let Some(registration) = &candidate.registration {
            known.add(index, registration, &place);
        }
        candidates.push(candidate);
    }
    candidates
}

/// The contacts of the athletes before.
#[derive(Default)]
struct Known {
    by_email: HashMap<String, usize>,
    by_phone: HashMap<String, usize>,
    places: HashMap<usize, String>,
}

impl Known {
    /// The athlete before that has this contact, and the field in which they meet. As in the database, a phone tells
    /// athletes apart only where one of them has no email.
    fn find(&self, registration: &Registration, candidates: &[Candidate]) -> Option<(usize, &'static str)> {
        let contact = &registration.contact;
        let by_email = contact.email.as_ref().and_then(|email| self.by_email.get(email.as_str()));
        if let Some(index) = by_email {
            return Some((*index, "email"));
        }
        let index = *self.by_phone.get(contact.phone.as_ref()?.as_str())?;
        let before = candidates[index].registration.as_ref()?;
        let has_no_email = contact.email.is_none() || before.contact.email.is_none();
        // At a phone that families share, somebody else is somebody else where one of them has an address.
        let is_one = is_same(before.full_name.as_ref(), registration.full_name.as_ref())
            || contact.email.is_none() && before.contact.email.is_none();
        (has_no_email && is_one).then_some((index, "phone"))
    }

    fn add(&mut self, index: usize, registration: &Registration, place: &str) {
        let contact = &registration.contact;
        if let Some(email) = &contact.email {
            self.by_email.entry(email.as_str().to_owned()).or_insert(index);
        }
        if let Some(phone) = &contact.phone {
            self.by_phone.entry(phone.as_str().to_owned()).or_insert(index);
        }
        self.places.entry(index).or_insert_with(|| place.to_owned());
    }

    fn place(&self, index: usize) -> &str {
        self.places.get(&index).map_or("", String::as_str)
    }
}

/// Whether two names may be one person's: case and spaces aside, or where one of them is not given.
fn is_same(first: Option<&Name>, second: Option<&Name>) -> bool {
    let key = |name: &Name| name.as_str().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    match (first, second) {
        (Some(first), Some(second)) => key(first) == key(second),
        _ => true,
    }
}
