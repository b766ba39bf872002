use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// Serves what stands in for another server, until the test is over; gives its port on the loopback
/// address.
pub async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async { axum::serve(listener, router).await });
    port
}

/// Asks the emulation of AWS in the stand-in's place.
pub async fn pass_on(aws: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the whole request");
    let taken = reqwest::Client::new()
        .request(parts.method, format!("{aws}{}", parts.uri))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .expect("AWS answers");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = taken.status();
    *response.headers_mut() = taken.headers().clone();
    *response.body_mut() = Body::from(taken.bytes().await.expect("the whole answer"));
    response
}
