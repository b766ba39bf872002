use serde_json::Value;
use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A place between an application and PostgreSQL at which an answer gets lost: the server has
/// carried the statement out, and the connection ends before the application knows.
pub struct Lossy {
    port: u16,
    answers_left: Arc<AtomicUsize>,
}

impl Lossy {
    /// Listens on the way to the server of a secret, where the connection is not encrypted.
    pub async fn on(secret: &Value) -> Self {
        let host = secret["host"].as_str().expect("a host").to_owned();
        let port = secret["port"].as_u64();
        let port = port.and_then(|port| port.try_into().ok());
        let server: (String, u16) = (host, port.expect("a port"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let answers_left = Arc::new(AtomicUsize::new(0));
        tokio::spawn(accept(listener, server, Arc::clone(&answers_left)));
        Self { port, answers_left }
    }

    /// The port on the loopback address to connect to in the server's place.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Loses the answer of this number from now on: 1 is the next one.
    pub fn lose(&self, number: usize) {
        self.answers_left.store(number, Ordering::SeqCst);
    }

    /// True once it is lost; otherwise there were fewer, and none is lost from now on.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.answers_left.swap(0, Ordering::SeqCst) == 0
    }
}

async fn accept(
    listener: TcpListener,
    server: (String, u16),
    answers_left: Arc<AtomicUsize>,
) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let server = TcpStream::connect(&server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let asking = tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
        let answers_left = Arc::clone(&answers_left);
        tokio::spawn(async move {
            let end = hand_on(from_server, to_client, answers_left).await;
            asking.abort();
            end
        });
    }
}

/// Hands on what the server says (PostgreSQL, 55.7 "Message Formats"): each message is a tag, the
/// length, and the rest. An answer ends with `ReadyForQuery`, and so does the log-in.
async fn hand_on(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    answers_left: Arc<AtomicUsize>,
) -> io::Result<()> {
    const READY_FOR_QUERY: u8 = b'Z';
    let mut is_logged_in = false;
    let mut answer = Vec::new();
    loop {
        let tag = server.read_u8().await?;
        let length = server.read_u32().await?;
        let mut rest = vec![0; length.saturating_sub(4) as usize];
        server.read_exact(&mut rest).await?;
        answer.push(tag);
        answer.extend(length.to_be_bytes());
        answer.extend(rest);
        if is_logged_in && tag != READY_FOR_QUERY {
            continue;
        }
        if is_logged_in {
            let count = |left: usize| left.checked_sub(1);
            let left = answers_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
            if left == Ok(1) {
                return Ok(());
            }
        }
        is_logged_in |= tag == READY_FOR_QUERY;
        client.write_all(&answer).await?;
        answer.clear();
    }
}
