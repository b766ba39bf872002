use bytes::BytesMut;
use serde_json::Value;
use std::{
    error::Error,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A place between an application and PostgreSQL that hands everything on and writes down the
/// statements: what the server is asked, word for word and with its parameters, without the
/// application's knowing.
pub struct Wiretap {
    port: u16,
    overheard: Arc<Mutex<Vec<Overheard>>>,
}

/// A statement that went by.
#[derive(Debug, Clone, Default)]
pub struct Overheard {
    /// The statement.
    pub sql: String,
    /// The statements before it in its transaction.
    pub before: Vec<Overheard>,
    types: Vec<u32>,
    values: Vec<Option<Vec<u8>>>,
}

impl Wiretap {
    /// Listens on the way to the server of a secret, where the connection is not encrypted.
    pub async fn on(secret: &Value) -> Self {
        let host = secret["host"].as_str().expect("a host").to_owned();
        let port = secret["port"]
            .as_u64()
            .and_then(|port| port.try_into().ok());
        let server: (String, u16) = (host, port.expect("a port"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let overheard = Arc::default();
        tokio::spawn(accept(listener, server, Arc::clone(&overheard)));
        Self { port, overheard }
    }

    /// The port on the loopback address to connect to in the server's place.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was overheard so far, in the order in which it was said.
    #[must_use]
    pub fn overheard(&self) -> Vec<Overheard> {
        self.overheard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn accept(
    listener: TcpListener,
    server: (String, u16),
    overheard: Arc<Mutex<Vec<Overheard>>>,
) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let server = TcpStream::connect(&server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, to_server) = server.into_split();
        tokio::spawn(listen(from_client, to_server, Arc::clone(&overheard)));
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    }
}

/// Hands on what the client says (PostgreSQL, 55.7 "Message Formats"): a message without a tag,
/// then one after the other a tag, the length, and the rest. A statement is a Parse and then a
/// Bind.
async fn listen(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    overheard: Arc<Mutex<Vec<Overheard>>>,
) -> io::Result<()> {
    let startup = message(Vec::new(), &mut client).await?;
    server.write_all(&startup).await?;

    let mut statement = Overheard::default();
    let mut transaction: Option<Vec<Overheard>> = None;
    loop {
        let tag = client.read_u8().await?;
        let message = message(vec![tag], &mut client).await?;
        let mut rest = Message(&message[5..]);
        match tag {
            b'P' => statement = rest.parse(),
            // A transaction begins and ends with a simple query.
            b'Q' => transaction = (rest.text() == "BEGIN").then(Vec::new),
            b'B' => {
                statement.values = rest.bind();
                statement.before = transaction.clone().unwrap_or_default();
                if let Some(transaction) = &mut transaction {
                    transaction.push(Overheard {
                        before: Vec::new(),
                        ..statement.clone()
                    });
                }
                overheard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(statement.clone());
            }
            _ => {}
        }
        server.write_all(&message).await?;
    }
}

/// The message that begins so, with its length, which counts itself, and as many bytes.
async fn message(mut message: Vec<u8>, client: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    message.extend(length.to_be_bytes());
    let read = message.len();
    message.resize(read + length.saturating_sub(4) as usize, 0);
    client.read_exact(&mut message[read..]).await?;
    Ok(message)
}

/// What is still to be read of a message. The client of these tests makes no faulty ones.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn parse(&mut self) -> Overheard {
        let _name = self.text();
        Overheard {
            sql: self.text(),
            before: Vec::new(),
            types: (0..self.int16()).map(|_| self.int32()).collect(),
            values: Vec::new(),
        }
    }

    fn bind(&mut self) -> Vec<Option<Vec<u8>>> {
        let (_portal, _statement) = (self.text(), self.text());
        for _ in 0..self.int16() {
            assert_eq!(self.int16(), 1, "parameters come in binary form");
        }
        let value = |message: &mut Self| match message.int32() {
            u32::MAX => None, // -1: null
            length => Some(message.bytes(length as usize).to_vec()),
        };
        (0..self.int16()).map(|_| value(self)).collect()
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn text(&mut self) -> String {
        let length = self.0.iter().position(|&byte| byte == 0);
        let text = self.bytes(length.expect("texts end with a zero"));
        self.bytes(1);
        String::from_utf8_lossy(text).into_owned()
    }

    fn int16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes(2).try_into().expect("two bytes"))
    }

    fn int32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes(4).try_into().expect("four bytes"))
    }
}

impl Overheard {
    /// What stands in the first line of every statement of the project: `-- its_name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.sql.lines().next()?.strip_prefix("-- ")
    }

    /// The types of the parameters.
    #[must_use]
    pub fn types(&self) -> Vec<Type> {
        let of_oid = |&oid| Type::from_oid(oid);
        let types: Option<_> = self.types.iter().map(of_oid).collect();
        types.expect("parameters have types of PostgreSQL's own")
    }

    /// The parameters, to be sent again as they were.
    #[must_use]
    pub fn parameters(&self) -> Vec<(Verbatim, Type)> {
        let values = self.values.iter().cloned().map(Verbatim);
        values.zip(self.types()).collect()
    }
}

/// A value in the form in which it went by.
#[derive(Debug)]
pub struct Verbatim(Option<Vec<u8>>);

impl ToSql for Verbatim {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
