use crate::root;
use fastrand::Rng;
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};
use std::{fs, path::Path, sync::LazyLock};

/// How much longer a text may get at once.
const ROOM: usize = 64;

/// Changes an event in one place, so that it still is one, most of the time: bytes that are changed
/// anywhere would test the parser of JSON, again and again. The body is seen through, where it is
/// JSON itself.
///
/// It has the form that libFuzzer wants of a mutator: the first `size` bytes of `data` become
/// another event of at most `max_size`.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Rng::with_seed(seed.into());
    let event = serde_json::from_slice(&data[..size]).ok();
    let changed = event
        .filter(|_| random.u8(..32) > 0)
        .map(|event| changed(event, &mut random))
        .filter(|text| text.len() <= max_size);
    match changed {
        Some(text) => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
}

fn changed(event: Value, random: &mut Rng) -> String {
    let mut event = with_open_body(event);
    // Each member of the event is as likely as any other: the body has the same chance as the
    // version.
    let place = match &mut event {
        Value::Object(fields) if !fields.is_empty() => {
            let position = random.usize(..fields.len());
            fields
                .values_mut()
                .nth(position)
                .expect("it is below their number")
        }
        other => other,
    };
    let mut position = random.usize(..count(place));
    change(
        nth(place, &mut position).expect("it is below their number"),
        random,
    );
    with_closed_body(event).to_string()
}

fn with_open_body(mut event: Value) -> Value {
    let body = event["body"].as_str().map(serde_json::from_str::<Value>);
    if let Some(Ok(body @ (Value::Object(_) | Value::Array(_)))) = body {
        event["body"] = body;
    }
    event
}

fn with_closed_body(mut event: Value) -> Value {
    if let body @ (Value::Object(_) | Value::Array(_)) = &event["body"] {
        event["body"] = json!(body.to_string());
    }
    event
}

/// How many values there are in a value, with itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value at this position in the order in which they are written, 0 for the value itself.
fn nth<'a>(value: &'a mut Value, position: &mut usize) -> Option<&'a mut Value> {
    if *position == 0 {
        return Some(value);
    }
    *position -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, position)),
        Value::Object(fields) => fields.values_mut().find_map(|member| nth(member, position)),
        _ => None,
    }
}

fn change(value: &mut Value, random: &mut Rng) {
    let is_replaced = random.u8(..4) == 0;
    match value {
        _ if is_replaced => *value = any(&VOCABULARY.values, random),
        Value::String(text) => *text = changed_text(text),
        Value::Array(items) if !items.is_empty() => {
            let position = random.usize(..items.len());
            if random.bool() {
                items.remove(position);
            } else {
                let item = items[position].clone();
                items.extend(std::iter::repeat_n(item, 1 << random.u8(..10)));
            }
        }
        Value::Object(fields) if !fields.is_empty() && random.bool() => {
            let position = random.usize(..fields.len());
            let name = fields
                .keys()
                .nth(position)
                .expect("it is below their number")
                .clone();
            fields.remove(&name);
        }
        Value::Object(fields) => {
            let name = any(&VOCABULARY.names, random);
            fields.insert(name, any(&VOCABULARY.values, random));
        }
        _ => {
            let plain = [
                json!(null),
                json!(true),
                json!(false),
                json!(-1),
                json!(""),
                json!([]),
                json!({}),
            ];
            *value = any(&plain, random);
        }
    }
}

fn any<T: Clone>(choices: &[T], random: &mut Rng) -> T {
    random.choice(choices).expect("there is a choice").clone()
}

/// As libFuzzer changes it, which knows what the code has compared texts with.
fn changed_text(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let size = bytes.len();
    bytes.resize(size + ROOM, 0);
    let size = fuzzer_mutate(&mut bytes, size, size + ROOM);
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

/// The words that the sample events are written in.
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut vocabulary = Vocabulary::default();
    vocabulary.learn(&root().join("events"));
    vocabulary
});

#[derive(Default)]
struct Vocabulary {
    names: Vec<String>,
    values: Vec<Value>,
}

impl Vocabulary {
    fn learn(&mut self, path: &Path) {
        if path.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(path)
                .expect("the folder can be read")
                .map(|entry| entry.expect("an entry").path())
                .collect();
            entries.sort(); // so that a seed means the same each time
            for entry in &entries {
                self.learn(entry);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = fs::read(path).expect("the file can be read");
            let event = serde_json::from_slice(&text).expect("a sample is JSON");
            self.hear(&with_open_body(event));
        }
    }

    fn hear(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                for item in items {
                    self.hear(item);
                }
            }
            Value::Object(fields) => {
                for (name, member) in fields {
                    self.names.push(name.clone());
                    self.hear(member);
                }
            }
            _ => {}
        }
        if !self.values.contains(value) {
            self.values.push(value.clone());
        }
    }
}
