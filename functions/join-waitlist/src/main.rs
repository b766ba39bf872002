//! The Lambda function; what it does is in `lib.rs`.

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(shared::App::from_env, join_waitlist::handle)
}
