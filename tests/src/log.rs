use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Once,
};
use tokio::task_local;
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

/// Shorter texts tell nothing, and are parts of other words.
const TELLING: usize = 4;

/// Neither do these, which claims have.
const TRUTHS: [&str; 2] = ["true", "false"];

task_local! {
    static LINES: RefCell<Vec<u8>>;
}

/// What `work` comes to, and what it has written to the log meanwhile: by the subscriber that the
/// functions have too.
pub async fn overhear<T>(work: impl Future<Output = T>) -> (T, Log) {
    static SUBSCRIBE: Once = Once::new();
    SUBSCRIBE.call_once(|| {
        let subscriber =
            shared::platform::log::subscriber("the-function".to_owned(), ToWhoeverOverhears);
        tracing::subscriber::set_global_default(subscriber).expect("there is no other one");
    });
    // A debug build moves futures about, and a test's is large.
    let work = Box::pin(work);
    let work = async {
        let done = work.await;
        (done, LINES.with(RefCell::take))
    };
    let (done, text) = LINES.scope(RefCell::default(), work).await;
    // Whoever overhears more hears this too.
    let _ = LINES.try_with(|lines| lines.borrow_mut().extend_from_slice(&text));
    let text = String::from_utf8(text).expect("the log is UTF-8");
    let line = |line| serde_json::from_str(line).expect("each line of the log is JSON");
    let lines = text.lines().map(line).collect();
    (done, Log { text, lines })
}

/// What was written to the log.
#[derive(Debug)]
pub struct Log {
    text: String,
    lines: Vec<Value>,
}

impl Log {
    /// The line of the one request that was answered.
    #[must_use]
    pub fn request(&self) -> &Value {
        let is_request = |line: &&Value| line["message"] == "request";
        let requests: Vec<&Value> = self.lines.iter().filter(is_request).collect();
        assert_eq!(requests.len(), 1, "one line for a request: {}", self.text);
        requests[0]
    }

    /// What was counted: each metric's sum, those of invitations by their outcome.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in &self.lines {
            for metric in metrics(line) {
                let name = metric["Name"].as_str().expect("a metric has a name");
                let key = line["Outcome"].as_str().unwrap_or(name).to_owned();
                *counts.entry(key).or_default() += line[name].as_u64().unwrap_or_default();
            }
        }
        // Which request is a process's first one is chance here.
        counts.remove("ColdStarts");
        counts
    }

    /// The lines that count something.
    pub fn metrics(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(|line| !metrics(line).is_empty())
    }

    /// Fails if the log says anything of what the event said, other than ids, or of the people in
    /// the answer.
    pub fn keeps_to_itself(&self, event: &Value, response: &Value) {
        let mut said = BTreeSet::new();
        gather(&event["requestContext"]["authorizer"], &mut said);
        gather(&event["queryStringParameters"], &mut said);
        gather_personal(response, &mut said);
        if let Some(body) = event["body"].as_str() {
            said.insert(body.to_owned());
            match serde_json::from_str(body) {
                Ok(body) => gather(&body, &mut said),
                Err(_) => said.extend(cells(body).map(str::to_owned)),
            }
        }
        let is_telling = |text: &&str| {
            text.len() >= TELLING && !TRUTHS.contains(text) && text.parse::<Uuid>().is_err()
        };
        for text in said.iter().map(|text| text.trim()).filter(is_telling) {
            let escaped = Value::from(text).to_string();
            let is_told = self.text.contains(text) || self.text.contains(escaped.trim_matches('"'));
            assert!(!is_told, "the log tells {text:?}: {}", self.text);
        }
    }
}

fn metrics(line: &Value) -> &[Value] {
    line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// What may be the cells of a table, roughly.
fn cells(body: &str) -> impl Iterator<Item = &str> {
    let cells = body.split([',', ';', '\n']);
    cells.map(|cell| cell.trim().trim_matches('"'))
}

/// Every text in a value.
fn gather(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(texts.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Value::Object(members) => members.values().for_each(|member| gather(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The texts of an answer that are about somebody.
fn gather_personal(response: &Value, texts: &mut BTreeSet<String>) {
    const PERSONAL: [&str; 6] = [
        "athlete_code",
        "avatar_url",
        "email",
        "full_name",
        "name",
        "phone",
    ];
    match response {
        Value::Array(items) => items.iter().for_each(|item| gather_personal(item, texts)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            if PERSONAL.contains(&name.as_str()) {
                gather(member, texts);
            } else {
                gather_personal(member, texts);
            }
        }),
        _ => {}
    }
}

/// Writes to the log of the task that is at work, if somebody overhears it.
#[derive(Clone, Copy)]
struct ToWhoeverOverhears;

impl<'a> MakeWriter<'a> for ToWhoeverOverhears {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for ToWhoeverOverhears {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = LINES.try_with(|lines| lines.borrow_mut().extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
