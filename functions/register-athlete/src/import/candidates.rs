use crate::registration::{Registration, is_one_person};
use shared::{
    domain::{Country, ErrorCode, Name},
    platform::{
        http::Fields,
        problem::{FieldError, Place, Warning},
    },
};
use std::collections::HashMap;

/// One of the athletes that were sent: to be registered, the same as another one, or with errors.
pub(super) struct Candidate {
    /// Its row in the table.
    pub(super) row: Option<usize>,
    /// The athlete, if there are no errors. One that was merged has been taken out.
    pub(super) registration: Option<Registration>,
    /// The fields that the athlete into which it was merged has otherwise.
    pub(super) differs: Vec<&'static str>,
    /// The index of the athlete that this is the same as.
    pub(super) merged_into: Option<usize>,
    pub(super) errors: Vec<FieldError>,
    pub(super) warnings: Vec<Warning>,
    /// The place of the whole, in the words of the person who sent it: `row 3`.
    place: String,
    email: Place,
    phone: Place,
}

impl Candidate {
    fn read(mut fields: Fields, country: Option<&Country>) -> Self {
        // What has no fields and yet errors was no athlete at all.
        let registration = if fields.is_empty() && !fields.is_faultless() {
            None
        } else {
            Registration::read(&mut fields, country).ok()
        };
        let warnings = registration.iter().flat_map(|new| new.warnings(&fields));
        let warnings = warnings.collect();
        let (email, phone) = (fields.place_of("email"), fields.place_of("phone"));
        let (row, place) = (fields.row(), fields.place());
        let errors = fields.into_errors();
        Self {
            row,
            registration: registration.filter(|_| errors.is_empty()),
            differs: Vec::new(),
            merged_into: None,
            errors,
            warnings,
            place,
            email,
            phone,
        }
    }

    /// Refuses the athlete: somebody else has the contact.
    pub(super) fn refuse_contact(&mut self, whose: &str) {
        let has_email = self
            .registration
            .take()
            .is_some_and(|athlete| athlete.contact.email.is_some());
        let place = if has_email { &self.email } else { &self.phone };
        let detail = format!(
            "is also the contact of {whose}: give each person one of their own, or say that contacts are shared"
        );
        self.errors.push(FieldError::new(
            place.clone(),
            ErrorCode::ContactInUse,
            detail,
        ));
    }

    pub(super) fn name(&self) -> Option<&Name> {
        self.registration.as_ref()?.full_name.as_ref()
    }
}

/// Reads all the athletes. Numbers without a country code are of `country`, the gym's.
pub(super) fn read(all: Vec<Fields>, country: Option<&Country>) -> Vec<Candidate> {
    all.into_iter()
        .map(|fields| Candidate::read(fields, country))
        .collect()
}

/// Merges what is one athlete: the same contact with the same name, or without a name. `keys` are
/// the names as the database compares them. Where `shared_contacts` is false, the same contact with
/// another name is an error of the later one.
pub(super) fn merge(
    candidates: &mut [Candidate],
    mut keys: Vec<Option<String>>,
    shared_contacts: bool,
) {
    let mut known = Known::default();
    for index in 0..candidates.len() {
        let Some(registration) = candidates[index].registration.clone() else {
            continue;
        };
        match known.best(&registration, index, candidates, &keys) {
            None => known.add(index, &registration),
            Some((first, has_the_name)) => {
                let has_name = registration.full_name.is_some();
                if is_one_person(has_the_name, has_name, shared_contacts) {
                    join(candidates, &mut keys, &mut known, first, index);
                } else if shared_contacts {
                    known.add(index, &registration);
                } else {
                    let place = candidates[first].place.clone();
                    candidates[index].refuse_contact(&format!("another name, in {place}"));
                }
            }
        }
    }
}

/// Makes `index` a part of `first`. If that now has both an address and a number, then those before
/// it who have the name and the number alone are parts of it too.
fn join(
    candidates: &mut [Candidate],
    keys: &mut [Option<String>],
    known: &mut Known,
    first: usize,
    index: usize,
) {
    let Some(part) = candidates[index].registration.take() else {
        return;
    };
    let Some(whole) = candidates[first].registration.as_mut() else {
        return;
    };
    let differs = whole.complete(&part);
    known.add(first, whole);
    let phone = whole
        .contact
        .phone
        .clone()
        .filter(|_| whole.contact.email.is_some());
    if keys[first].is_none() {
        keys[first] = keys[index].take();
    }
    candidates[index].differs = differs;
    candidates[index].merged_into = Some(first);
    for candidate in candidates.iter_mut() {
        if candidate.merged_into == Some(index) {
            candidate.merged_into = Some(first);
        }
    }

    let same_phone = phone.and_then(|phone| known.by_phone.get(phone.as_str()).cloned());
    for other in same_phone.unwrap_or_default() {
        let has_no_email = candidates[other]
            .registration
            .as_ref()
            .is_some_and(|athlete| athlete.contact.email.is_none());
        if other != first && has_no_email && keys[other].is_some() && keys[other] == keys[first] {
            join(candidates, keys, known, first, other);
        }
    }
}

/// The athletes before, by their contacts.
#[derive(Default)]
struct Known {
    by_email: HashMap<String, Vec<usize>>,
    by_phone: HashMap<String, Vec<usize>>,
}

impl Known {
    /// Of the athletes before with this contact the one with the same name, else one without a
    /// name, else the first; and whether it has the name, if both have one. As in the database, a
    /// phone tells athletes apart only where one of them has no email.
    fn best(
        &self,
        registration: &Registration,
        index: usize,
        candidates: &[Candidate],
        keys: &[Option<String>],
    ) -> Option<(usize, Option<bool>)> {
        let email = registration.contact.email.as_ref();
        let phone = registration.contact.phone.as_ref();
        let by_email = email.and_then(|email| self.by_email.get(email.as_str()));
        let by_phone = phone.and_then(|phone| self.by_phone.get(phone.as_str()));
        let by_phone = by_phone.into_iter().flatten().filter(|before| {
            let before = candidates[**before].registration.as_ref();
            before.is_some_and(|before| email.is_none() || before.contact.email.is_none())
        });
        let found = by_email.into_iter().flatten().chain(by_phone);
        let found = found.filter(|before| candidates[**before].registration.is_some());
        let has_the_name = |before: usize| Some(keys[before].as_ref()? == keys[index].as_ref()?);
        let best = found.copied().min_by_key(|before| {
            (
                has_the_name(*before) != Some(true),
                keys[*before].is_some(),
                *before,
            )
        })?;
        Some((best, has_the_name(best)))
    }

    fn add(&mut self, index: usize, registration: &Registration) {
        let contact = &registration.contact;
        let add = |map: &mut HashMap<String, Vec<usize>>, contact: &str| {
            let known = map.entry(contact.to_owned()).or_default();
            if !known.contains(&index) {
                known.push(index);
            }
        };
        if let Some(email) = &contact.email {
            add(&mut self.by_email, email.as_str());
        }
        if let Some(phone) = &contact.phone {
            add(&mut self.by_phone, phone.as_str());
        }
    }
}
