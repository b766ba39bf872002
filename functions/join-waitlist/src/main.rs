use shared::platform::{App, serve};

fn main() -> Result<(), lambda_http::Error> {
    serve(App::from_env, join_waitlist::handle)
}
