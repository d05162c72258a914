//! Connects to a server by its name, at one of the addresses that the name has.
//!
//! Limit: what is said on the connection is `session`'s.

use std::io;
use std::net::SocketAddr;

use crate::runtime::net::{self, Stream};
use crate::runtime::{Instant, clock};

/// Addresses that one attempt tries; with more of them each would have too little of its time.
const ADDRESSES_MAX: usize = 4;

/// Resolves `server` (`host:port`) and connects to it, all before `until`, else `TimedOut`. Of several addresses the
/// next `turn` begins with the next one. Each has an equal share of what is left.
pub(super) async fn dial(server: &str, turn: usize, until: Instant) -> io::Result<Stream> {
    let (host, port) = super::split_address(server).ok_or(io::ErrorKind::InvalidInput)?;
    let left = || until.saturating_since(clock::now());
    let resolved = clock::timeout(left(), net::addresses(host, port)).await;
    let addresses = resolved.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for (untried, address) in in_turn(&addresses, turn) {
        outcome = net::connect(address, left() / untried).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The addresses to try, each with how many are untried by then, itself included.
fn in_turn(addresses: &[SocketAddr], turn: usize) -> impl Iterator<Item = (u32, SocketAddr)> {
    let count = addresses.len().min(ADDRESSES_MAX);
    let from_turn = addresses.iter().cycle().skip(turn % addresses.len().max(1));
    (1..=count as u32).rev().zip(from_turn.copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last parts of the addresses that are tried, of those that end in 0, 1 and so on.
    fn tried(count: u8, turn: usize) -> Vec<(u32, u8)> {
        let addresses: Vec<SocketAddr> =
            (0..count).map(|last| SocketAddr::from(([10, 0, 0, last], 1))).collect();
        let last = |address: SocketAddr| match address {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(address) => unreachable!("{address}"),
        };
        in_turn(&addresses, turn).map(|(untried, address)| (untried, last(address))).collect()
    }

    #[test]
    fn every_address_of_a_name_gets_its_turn() {
        assert_eq!(tried(3, 0), [(3, 0), (2, 1), (1, 2)]);
        assert_eq!(tried(3, 1), [(3, 1), (2, 2), (1, 0)]);
        assert_eq!(tried(3, 3), tried(3, 0));
        assert_eq!(tried(1, 7), [(1, 0)]);
        assert_eq!(tried(6, 4), [(4, 4), (3, 5), (2, 0), (1, 1)], "no more than four at a time");
        assert_eq!(tried(0, 1), []);
    }
}
