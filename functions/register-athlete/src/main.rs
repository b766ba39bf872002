fn main() -> Result<(), lambda_http::Error> {
    shared::platform::serve(register_athlete::App::from_env, register_athlete::handle)
}
