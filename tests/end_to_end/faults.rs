//! What happens to requests while something that the functions stand on fails.

use crate::{
    line::{Line, Traffic},
    load::{Mails, Told, under_load},
    stand_in::{pass_on, serve},
    system::{System, report},
};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt,
    future::{LocalBoxFuture, join_all},
};
use local::{
    postgres::{Postgres, Shutdown},
    services::Services,
    stack::Options,
};
use serde_json::{Value, json};
use shared::platform::db::BUDGET;
use std::{sync::Arc, time::Duration};
use tests::run;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep},
};
use uuid::Uuid;

/// Before something fails, and once it is over.
const A_MOMENT: Duration = Duration::from_millis(800);

/// So long that requests that begin with the fault are answered while it lasts.
const BEYOND_THE_BUDGET: Duration = BUDGET.saturating_add(Duration::from_secs(2));

/// A system of its own, on a server of its own, to which it connects as RDS's clients do: as a user
/// like any other. Between it and everything else are lines that can be cut.
struct Rig {
    system: &'static System,
    services: Arc<Services>,
    database: String,
    /// The functions' secret.
    secret: Value,
    to_postgres: Line,
    to_secrets_manager: Line,
    to_ses: Line,
    ses: watch::Sender<Ses>,
}

/// What SES makes of a mail.
#[derive(Clone, Copy)]
enum Ses {
    TakesIt,
    TakesItLate,
    Fails,
}

/// Runs a test on a rig of which everything works, or all but Secrets Manager.
fn with_rig(to_secrets_manager: Traffic, test: impl AsyncFnOnce(&Rig)) {
    /// One at a time: what is tested is how long things take.
    static MACHINE: Mutex<()> = Mutex::const_new(());
    run(async {
        let _alone = MACHINE.lock().await;
        let rig = Rig::start(to_secrets_manager).await;
        test(&rig).await;
        rig.stop().await;
    });
}

impl Rig {
    async fn start(to_secrets_manager: Traffic) -> Self {
        let services = Services::start_private().await;
        let services = Arc::new(services.expect("the tests need PostgreSQL and moto"));
        let Services { postgres, aws, .. } = services.as_ref();
        let database = postgres
            .migrated_database("faults")
            .await
            .expect("a database can be made");
        let mut secret = postgres.secret(&database);
        // A commit is on its way to the disk before it is answered, as on RDS: the local server
        // does without that.
        let role = "CREATE ROLE functions LOGIN IN ROLE onboarding_functions;
             ALTER ROLE functions SET synchronous_commit = on";
        postgres.run(&database, role).await.expect("a role is made");
        secret["username"] = json!("functions");
        secret["password"] = new_password(postgres, &database).await;

        let to_postgres = Line::to(port_of(&secret), Traffic::Flows);
        secret["port"] = json!(to_postgres.port);
        let to_secrets_manager = Line::to(aws.port(), to_secrets_manager);
        let ses = watch::Sender::new(Ses::TakesIt);
        let stand_in = Router::new()
            .fallback(stand_in_for_ses)
            .with_state((ses.subscribe(), aws.endpoint()));
        let to_ses = Line::to(serve(stand_in).await, Traffic::Flows);

        let on_loopback = |line: &Line| format!("http://127.0.0.1:{}", line.port);
        let options = Options {
            secret: Some(secret.clone()),
            variables: vec![
                (
                    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                    on_loopback(&to_secrets_manager),
                ),
                ("AWS_ENDPOINT_URL_SESV2", on_loopback(&to_ses)),
                ("SEND_RATE", "10000".to_owned()),
            ],
            ..Options::default()
        };
        let system = System::start(Arc::clone(&services), options).await;
        Self {
            system: Box::leak(Box::new(system)),
            services,
            database,
            secret,
            to_postgres,
            to_secrets_manager,
            to_ses,
            ses,
        }
    }

    /// Has something happen while requests run, and holds against what everybody was told
    /// afterwards that nothing is lost and nothing double, that the functions serve as before, in
    /// the same processes, and that the mails were sent.
    fn under_load<'a>(
        &'a self,
        what: &'a str,
        happens: impl Future<Output = ()> + 'a,
    ) -> LocalBoxFuture<'a, (Told, Mails)> {
        let happens = Box::pin(happens);
        let run = async move {
            let told = under_load(self.system, async {
                sleep(A_MOMENT).await;
                happens.await;
                sleep(A_MOMENT).await;
            })
            .await;
            told.is_in_the_database(self.system).await;
            let mails = told.is_sent_in_the_end(self.system).await;
            report(&format!("{what}: {told}; {mails}"));
            let lambda = self.system.stack.lambda();
            assert_eq!(lambda.crashes(), 0, "no process has ended");
            (told, mails)
        };
        run.boxed_local()
    }

    /// Ends what the test has started.
    async fn stop(self) {
        let functions = self.system.stack.lambda().stop().await;
        functions.expect("the functions end");
        self.services.stop().await.expect("the servers end");
    }

    /// Runs SQL on the server, past the line.
    async fn run(&self, sql: &str) {
        let run = self.services.postgres.run(&self.database, sql);
        run.await.expect("the server is there");
    }

    /// Has the server end every connection of the functions; gives how many that were.
    async fn end_connections(&self) -> i64 {
        let db = self.services.postgres.connect(&self.database).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'functions'";
        let ended = db.expect("the server is there").query_one(end, &[]).await;
        ended.expect("connections are ended").get(0)
    }

    /// Leaves the functions one connection among all of them, for a time.
    async fn one_connection(&self, time: Duration) {
        self.run("ALTER ROLE functions CONNECTION LIMIT 1").await;
        assert!(self.end_connections().await > 0);
        sleep(time).await;
        self.run("ALTER ROLE functions CONNECTION LIMIT -1").await;
    }

    /// Waits until several invitations could not be sent for this reason.
    async fn until_mails_fail(&self, reason: &str) {
        let db = self.services.postgres.connect(&self.database).await;
        let db = db.expect("the server is there");
        let have_failed =
            "SELECT count(*) >= 5 FROM invitation WHERE last_error LIKE '%' || $1 || '%'";
        let asked = Instant::now();
        loop {
            let row = db.query_one(have_failed, &[&reason]).await;
            if row.expect("the statement runs").get(0) {
                return;
            }
            assert!(asked.elapsed() < Duration::from_mins(1), "mails still go");
            sleep(A_MOMENT / 8).await;
        }
    }

    /// Changes the password as RDS does, in the database first: until the secret has it too, nobody
    /// can log in with what the secret says. Connections end meanwhile, so that new ones are
    /// wanted.
    async fn rotate(&self, meanwhile: Duration) {
        let mut secret = self.secret.clone();
        secret["password"] = new_password(&self.services.postgres, &self.database).await;
        assert!(self.end_connections().await > 0);
        sleep(meanwhile).await;
        let stored = self.services.aws.put_secret(&self.database, &secret).await;
        stored.expect("the secret is stored");
        sleep(A_MOMENT).await;
        assert!(self.end_connections().await > 0);
    }
}

/// Gives the functions' role a new password.
async fn new_password(postgres: &Postgres, database: &str) -> Value {
    let password = Uuid::now_v7().to_string();
    let change = format!("ALTER ROLE functions PASSWORD '{password}'");
    postgres
        .run(database, &change)
        .await
        .expect("the password is changed");
    json!(password)
}

fn port_of(secret: &Value) -> u16 {
    let port = secret["port"].as_u64().map(u16::try_from);
    port.expect("a port").expect("a port")
}

async fn stand_in_for_ses(
    State((ses, aws)): State<(watch::Receiver<Ses>, String)>,
    request: Request,
) -> Response {
    let ses = *ses.borrow();
    match ses {
        Ses::TakesIt => {}
        Ses::TakesItLate => sleep(Duration::from_secs(30)).await,
        Ses::Fails => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
    pass_on(&aws, request).await
}

#[test]
fn restart_of_the_database_loses_nothing() {
    with_rig(Traffic::Flows, async |rig| {
        rig.under_load("PostgreSQL restarted twice", async {
            for _ in 0..2 {
                let restarted = rig.services.postgres.restart(Shutdown::Fast).await;
                restarted.expect("PostgreSQL comes back");
                sleep(A_MOMENT).await;
            }
        })
        .await;
    });
}

#[test]
fn crash_of_the_database_loses_nothing() {
    with_rig(Traffic::Flows, async |rig| {
        rig.under_load("PostgreSQL crashed twice", async {
            for _ in 0..2 {
                let restarted = rig.services.postgres.restart(Shutdown::Immediate).await;
                restarted.expect("PostgreSQL comes back");
                sleep(A_MOMENT).await;
            }
        })
        .await;
    });
}

#[test]
fn dying_connections_fail_no_request() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("connections ended 12 times", async {
                for _ in 0..12 {
                    assert!(rig.end_connections().await > 0);
                    sleep(Duration::from_millis(300)).await;
                }
            })
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
    });
}

#[test]
fn silent_database_is_503_in_time_until_it_responds() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("PostgreSQL silent for 5 s", async {
                rig.to_postgres.set(Traffic::Stalls);
                sleep(BEYOND_THE_BUDGET).await;
                rig.to_postgres.set(Traffic::Flows);
            })
            .await;
        assert!(told.unavailable() > 0, "{told}");
    });
}

#[test]
fn refusing_database_is_503_in_time_until_it_accepts() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("PostgreSQL unreachable for 5 s", async {
                rig.to_postgres.set(Traffic::IsRefused);
                sleep(BEYOND_THE_BUDGET).await;
                rig.to_postgres.set(Traffic::Flows);
            })
            .await;
        assert!(told.unavailable() > 0, "{told}");
    });
}

#[test]
fn one_connection_serves_some_requests_and_others_are_503() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load(
                "one connection for 5 s",
                rig.one_connection(BEYOND_THE_BUDGET),
            )
            .await;
        assert!(told.unavailable() > 0, "{told}");
    });
}

#[test]
fn connection_that_becomes_free_within_the_budget_is_waited_for() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("one connection for 1 s", rig.one_connection(BUDGET / 3))
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
    });
}

#[test]
fn rotated_password_fails_no_request() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("password rotated three times", async {
                for meanwhile in [0, 200, 1_000] {
                    rig.rotate(Duration::from_millis(meanwhile)).await;
                }
            })
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
    });
}

#[test]
fn warm_functions_work_without_secrets_manager() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, _) = rig
            .under_load("Secrets Manager down, connections ended", async {
                rig.to_secrets_manager.set(Traffic::IsRefused);
                for _ in 0..3 {
                    assert!(rig.end_connections().await > 0);
                    sleep(A_MOMENT).await;
                }
            })
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
    });
}

#[test]
fn cold_functions_are_503_until_secrets_manager_is_back() {
    for traffic in [Traffic::IsRefused, Traffic::Stalls] {
        with_rig(traffic, async |rig| {
            let visitor = rig.system.visitor("somebody@cold.example");
            let asked = Instant::now();
            let routes = ["/businesses", "/me", "/workouts"];
            for response in join_all(routes.map(async |path| visitor.get(path).await)).await {
                assert_eq!(response.status, 503, "{:#}", response.body);
                assert!(response.retry_after.is_some());
            }
            // The first request also waits for the environment to start, which itself looks for the
            // database.
            assert!(asked.elapsed() < 4 * BUDGET, "{:?}", asked.elapsed());

            rig.to_secrets_manager.set(Traffic::Flows);
            rig.under_load(&format!("Secrets Manager back ({traffic:?})"), async {})
                .await;
            assert_eq!(visitor.get("/me").await.status, 200);
        });
    }
}

#[test]
fn slow_mail_service_delays_no_response_and_loses_no_mail() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, mails) = rig
            .under_load("SES slow", async {
                rig.ses.send_replace(Ses::TakesItLate);
                rig.until_mails_fail("did not answer").await;
                sleep(A_MOMENT).await;
                rig.ses.send_replace(Ses::TakesIt);
            })
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
        assert!(mails.by_relay > 0 && mails.twice == 0, "{mails}");
    });
}

#[test]
fn mail_service_that_is_down_fails_no_registration_and_loses_no_mail() {
    with_rig(Traffic::Flows, async |rig| {
        let (told, mails) = rig
            .under_load("SES down", async {
                rig.ses.send_replace(Ses::Fails);
                rig.until_mails_fail("did not take it").await;
                // Only now, lest a mail is taken whose answer is cut off: that one is rightly sent
                // twice.
                rig.to_ses.set(Traffic::IsRefused);
                rig.until_mails_fail("could not be reached").await;
                rig.to_ses.set(Traffic::Flows);
                rig.ses.send_replace(Ses::TakesIt);
            })
            .await;
        assert_eq!(told.unavailable(), 0, "{told}");
        assert!(mails.by_relay > 0 && mails.twice == 0, "{mails}");
    });
}
