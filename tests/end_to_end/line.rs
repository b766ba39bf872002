use local::port;
use std::{io, net::Ipv4Addr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch::{self, error::RecvError},
};

/// A line between a function and what it uses, which can be cut.
pub struct Line {
    pub port: u16,
    traffic: watch::Sender<Traffic>,
}

/// How it goes on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Everything is handed on.
    Flows,
    /// Nothing is heard, of connections that are there and of new ones. What is said meanwhile
    /// arrives later, as on a network that sends again what was lost.
    Stalls,
    /// Connections are closed, and new ones refused.
    IsRefused,
}

impl Line {
    /// A line to this port of the loopback address.
    pub fn to(server: u16, traffic: Traffic) -> Self {
        let port = port::free().expect("a port is free");
        let traffic = watch::Sender::new(traffic);
        tokio::spawn(serve(port, server, traffic.subscribe()));
        Self { port, traffic }
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

/// Carries connections until the line is dropped, which ends the wait for any traffic with an
/// error. While they are refused, nobody listens.
async fn serve(
    port: u16,
    server: u16,
    mut traffic: watch::Receiver<Traffic>,
) -> Result<(), RecvError> {
    loop {
        traffic
            .wait_for(|traffic| *traffic != Traffic::IsRefused)
            .await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .expect("the port is still free");
        let carried = traffic.clone();
        tokio::select! {
            refused = traffic.wait_for(|traffic| *traffic == Traffic::IsRefused) => drop(refused?),
            () = accept(listener, server, carried) => {}
        }
    }
}

async fn accept(listener: TcpListener, server: u16, traffic: watch::Receiver<Traffic>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, server, traffic.clone()));
    }
}

/// Carries one connection until either side closes it, or the line is cut.
async fn carry(
    client: TcpStream,
    server: u16,
    mut traffic: watch::Receiver<Traffic>,
) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        said = hand_on(from_client, to_server, traffic.clone()) => said,
        said = hand_on(from_server, to_client, traffic.clone()) => said,
        _ = traffic.wait_for(|traffic| *traffic == Traffic::IsRefused) => Ok(()),
    }
}

async fn hand_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
) -> io::Result<()> {
    let mut said = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut said).await?;
        if length == 0
            || traffic
                .wait_for(|traffic| *traffic == Traffic::Flows)
                .await
                .is_err()
        {
            return Ok(());
        }
        to.write_all(&said[..length]).await?;
    }
}
