use crate::root;
use aws_config::{BehaviorVersion, SdkConfig};
use futures::FutureExt;
use local::template::{Route, Template};
use record_mail_events::Report;
use serde_json::{Value, value::RawValue};
use shared::{
    domain::AthleteCode,
    invitations::{delivery::InvitationSender, mail::MailConfig},
    platform::{
        App,
        db::{Address, Db, DbConfig},
        http::Response,
    },
};
use tests::{contract::Contract, invoke};
use tokio::runtime::{Builder, Runtime};

/// The functions, with a database that is not there.
///
/// A handler waits for nothing before its statement. So it is polled once: either it has answered
/// then, or the event got as far as the database, and the handler is given up.
pub struct Functions {
    app: App,
    registrar: register_athlete::App,
    routes: Vec<Route>,
    contract: Contract,
    /// Nothing runs on it; the handlers' time-outs ask for one.
    timers: Runtime,
}

impl Functions {
    /// It takes 6 seconds: each `Db` looks for its database first.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it reads files and takes its time"
    )]
    pub fn new() -> Self {
        let timers = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        // Without a region and credentials no call of AWS leaves the SDK.
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .build();
        let mail = MailConfig {
            from: "GymBrah <invitations@gymbrah.example>"
                .parse()
                .expect("a sender"),
            configuration_set: None,
            app_url: "https://app.gymbrah.example".parse().expect("an address"),
        };
        let db = || timers.block_on(Db::open(no_database(), &aws));
        Self {
            app: App {
                db: db().expect("the configuration has no faults"),
            },
            registrar: register_athlete::App {
                app_url: mail.app_url.clone(),
                db: db().expect("the configuration has no faults"),
                sender: InvitationSender::new(mail, &aws),
                invitation_days: 30,
                draw_code: AthleteCode::draw,
            },
            routes: Template::read(root())
                .expect("template.yaml is read")
                .routes,
            contract: Contract::read(root()),
            timers,
        }
    }

    /// The route of an event; none where it has none that API Gateway knows.
    #[must_use]
    pub fn route(&self, event: &Value) -> Option<&Route> {
        let key = event["requestContext"]["routeKey"].as_str()?;
        let (method, path) = key.split_once(' ')?;
        let mut routes = self.routes.iter();
        routes.find(|route| route.method == method && route.path == path)
    }

    /// What a route's function answers to an event by itself, which the contract has been found to
    /// allow; none where it asks the database.
    #[must_use]
    pub fn invoke(&self, route: &Route, event: &str) -> Option<Response> {
        let _timers = self.timers.enter();
        let event = RawValue::from_string(event.to_owned()).expect("the event is JSON");
        let response = invoke(&self.app, &self.registrar, &route.function, event).now_or_never()?;
        if response.json()["type"] != "urn:gymbrah:problem:not-an-http-event" {
            self.contract.check(
                &route.method,
                &route.path,
                response.status(),
                response.content_type(),
                &response.json(),
            );
        }
        Some(response)
    }

    /// What `record-mail-events` reports of an event by itself; none where it asks the database.
    #[must_use]
    pub fn record(&self, event: Value) -> Option<Report> {
        let _timers = self.timers.enter();
        let report = record_mail_events::handle(&self.app, event).now_or_never()?;
        Some(report.expect("only the database can make it fail"))
    }
}

fn no_database() -> DbConfig {
    DbConfig {
        secret_id: "none".to_owned(),
        address: Address::default(),
        ca_file: None,
        connections: 1,
    }
}
