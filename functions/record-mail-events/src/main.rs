//! The Lambda function; what it does is in `lib.rs`.

fn main() -> Result<(), lambda_http::Error> {
    shared::serve_events(shared::App::from_env, |app, event, _| {
        record_mail_events::handle(app, event)
    })
}
