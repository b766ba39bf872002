//! A function's invocations: those that wait for an environment, and those that are under way in
//! one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// One start of a process of the function. A process that replaces another is another environment.
pub(super) type EnvironmentId = u64;

/// The end of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The function's response.
    Response(Bytes),
    /// The function's own error, or the one that Lambda puts in its place: JSON with `errorType`
    /// and `errorMessage`.
    Error(Bytes),
}

impl End {
    /// An error that Lambda reports in the function's place, under one of Lambda's own names.
    pub fn error(kind: &str, message: &str) -> Self {
        let error = json!({"errorType": kind, "errorMessage": message});
        Self::Error(error.to_string().into())
    }
}

/// An invocation as an environment gets it.
#[derive(Debug)]
pub(super) struct Invocation {
    pub id: Uuid,
    /// The time at which the function is stopped, in milliseconds since 1970.
    pub deadline: i64,
    pub event: Bytes,
}

/// The environment that asks has ended.
struct HasEnded;

/// A function and everything that is asked of it.
#[derive(Debug)]
pub(super) struct Function {
    name: String,
    timeout: Duration,
    state: Mutex<State>,
    /// An invocation waits, or an environment has ended.
    changed: Notify,
    crashes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    running: HashMap<Uuid, Running>,
    environments: HashMap<EnvironmentId, Environment>,
    started: EnvironmentId,
    is_stopped: bool,
}

#[derive(Debug)]
struct Waiting {
    event: Bytes,
    end: oneshot::Sender<End>,
}

#[derive(Debug)]
struct Running {
    environment: EnvironmentId,
    end: oneshot::Sender<End>,
}

#[derive(Debug, Default)]
struct Environment {
    /// It has asked for an invocation: its initialization is over.
    is_ready: bool,
    timed_out: Arc<Notify>,
}

impl Function {
    pub fn new(name: String, timeout: Duration) -> Self {
        Self {
            name,
            timeout,
            state: Mutex::default(),
            changed: Notify::new(),
            crashes: AtomicUsize::new(0),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of environments that ended by themselves.
    pub fn crashes(&self) -> usize {
        self.crashes.load(Ordering::Relaxed)
    }

    /// Invokes the function: waits for an environment to take the event, then for the end, at the
    /// latest when the time is up.
    pub async fn invoke(&self, event: Bytes) -> End {
        // Nobody is there to end it once the functions have been stopped.
        let ended = self.enqueue(event).await;
        ended.unwrap_or_else(|_| End::error("Runtime.Stopped", "the functions have been stopped"))
    }

    fn enqueue(&self, event: Bytes) -> oneshot::Receiver<End> {
        let (end, ended) = oneshot::channel();
        let mut state = self.state();
        if !state.is_stopped {
            state.waiting.push_back(Waiting { event, end });
            self.changed.notify_one();
        }
        ended
    }

    /// The next invocation for an environment, once there is one; `None` for an environment that
    /// has ended meanwhile.
    pub async fn next(self: &Arc<Self>, environment: EnvironmentId) -> Option<Invocation> {
        loop {
            if let Some(invocation) = self.take(environment).ok()? {
                return Some(invocation);
            }
            self.changed.notified().await;
        }
    }

    /// Hands the invocation that has waited longest to an environment.
    fn take(self: &Arc<Self>, environment: EnvironmentId) -> Result<Option<Invocation>, HasEnded> {
        let mut state = self.state();
        let Some(asking) = state.environments.get_mut(&environment) else {
            // It may have been woken in another one's place.
            self.changed.notify_one();
            return Err(HasEnded);
        };
        asking.is_ready = true;
        let Some(waiting) = state.waiting.pop_front() else {
            return Ok(None);
        };
        let id = Uuid::now_v7();
        let (end, ended) = oneshot::channel();
        state.running.insert(id, Running { environment, end });
        drop(state);

        let function = Arc::clone(self);
        tokio::spawn(async move {
            let end = tokio::time::timeout(function.timeout, ended).await;
            let end = end.unwrap_or_else(|_| Ok(function.time_out(id)));
            // Nobody listens any more where the caller has given up.
            if let Ok(end) = end {
                let _ = waiting.end.send(end);
            }
        });
        Ok(Some(Invocation {
            id,
            deadline: (Timestamp::now() + self.timeout).as_millisecond(),
            event: waiting.event,
        }))
    }

    /// Takes an invocation from its environment, which is told so.
    fn time_out(&self, id: Uuid) -> End {
        let mut state = self.state();
        let running = state.running.remove(&id);
        if let Some(environment) =
            running.and_then(|running| state.environments.get(&running.environment))
        {
            environment.timed_out.notify_one();
        }
        let seconds = self.timeout.as_secs_f32();
        End::error(
            "Sandbox.Timedout",
            &format!("{id} Task timed out after {seconds:.2} seconds"),
        )
    }

    /// Ends an invocation, and tells whether it was under way in this environment.
    pub fn end(&self, environment: EnvironmentId, id: Uuid, end: End) -> bool {
        let mut state = self.state();
        let is_under_way = state
            .running
            .get(&id)
            .is_some_and(|running| running.environment == environment);
        if is_under_way && let Some(running) = state.running.remove(&id) {
            let _ = running.end.send(end);
        }
        is_under_way
    }

    /// Notes that an environment starts. What is returned beside its id is notified when one of its
    /// invocations times out.
    pub fn environment_starts(&self) -> (EnvironmentId, Arc<Notify>) {
        let mut state = self.state();
        state.started += 1;
        let id = state.started;
        let environment = state.environments.entry(id).or_default();
        (id, Arc::clone(&environment.timed_out))
    }

    /// Fails all waiting invocations with the error that an environment reports of its
    /// initialization.
    pub fn initialization_fails(&self, error: &Bytes) {
        for waiting in self.state().waiting.drain(..) {
            let _ = waiting.end.send(End::Error(error.clone()));
        }
    }

    /// Notes that an environment has ended by itself, and tells whether it had been ready for
    /// invocations.
    pub fn environment_crashes(&self, id: EnvironmentId, how: &str) -> bool {
        self.crashes.fetch_add(1, Ordering::Relaxed);
        self.environment_ends(id, how)
    }

    /// Notes that an environment has ended: the invocations that were under way in it have failed.
    /// One that ended before it was ready leaves little hope for its successor: those that wait
    /// have failed too.
    pub fn environment_ends(&self, id: EnvironmentId, how: &str) -> bool {
        let mut state = self.state();
        let ended = state.environments.remove(&id);
        let was_ready = ended.is_some_and(|environment| environment.is_ready);
        let exit = || End::error("Runtime.ExitError", &format!("its process {how}"));
        for (_, lost) in state
            .running
            .extract_if(|_, running| running.environment == id)
        {
            let _ = lost.end.send(exit());
        }
        if !was_ready {
            for waiting in state.waiting.drain(..) {
                let _ = waiting.end.send(exit());
            }
        }
        drop(state);
        // A connection of the process may still wait for the next invocation.
        self.changed.notify_one();
        was_ready
    }

    /// Takes no invocations from now on, and fails those that wait.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.waiting.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
