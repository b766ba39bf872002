fn main() -> Result<(), lambda_http::Error> {
    shared::platform::serve_events(deliver_invitations::App::from_env, |app, _, deadline| {
        deliver_invitations::handle(app, deadline)
    })
}
