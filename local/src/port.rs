//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below the range from which Linux and macOS take the ports of outgoing connections: between the
/// moment a port is found free and the moment the program that needs it listens, no connection
/// takes it.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// How many ports are tried before giving up.
const TRIES: usize = 100;

/// A port on which nothing listens. Two callers rarely get the same: it is drawn at random.
pub fn free() -> Result<u16> {
    for _ in 0..TRIES {
        let offset = getrandom::u32()? % u32::from(LAST - FIRST + 1);
        let port = FIRST + u16::try_from(offset).expect("smaller than the range of ports");
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("found no free port between {FIRST} and {LAST} in {TRIES} tries");
}

/// Whether a program could listen on this port of the loopback address now.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether a program listens on this port of the loopback address.
pub async fn answers(port: u16) -> bool {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_free_until_someone_listens() {
        let port = free().unwrap();
        assert!((FIRST..=LAST).contains(&port));
        assert!(!answers(port).await);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
        assert!(answers(port).await);
        drop(listener);
    }
}
