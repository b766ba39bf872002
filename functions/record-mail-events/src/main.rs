use shared::platform::{App, serve_events};

fn main() -> Result<(), lambda_http::Error> {
    serve_events(App::from_env, |app, event, _| {
        record_mail_events::handle(app, event)
    })
}
