//! How many connections there may be, and how they are asked to end.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::broker::config::Limits;
use crate::broker::purgatory::Waker;
use crate::runtime::lock::{Mutex, MutexGuard};

/// The open connections of a broker.
pub(in crate::broker) struct Connections {
    connections_max: usize,
    per_ip_max: usize,
    open: Mutex<Open>,
    one_closed: Notify,
}

#[derive(Default)]
struct Open {
    last_id: u64,
    by_id: BTreeMap<u64, Arc<ConnectionHandle>>,
    per_ip: BTreeMap<IpAddr, usize>,
}

/// How one connection's task is reached.
#[derive(Default)]
pub(super) struct ConnectionHandle {
    pub waker: Arc<Waker>,
    is_closing: AtomicBool,
}

impl ConnectionHandle {
    /// Whether the connection is to end as soon as nothing is in flight.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

/// A connection's place among the open ones, given back when dropped.
pub(super) struct Admission {
    connections: Arc<dyn AsRef<Connections> + Send + Sync>,
    pub id: u64,
    ip: IpAddr,
    pub handle: Arc<ConnectionHandle>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0} connections are open")]
    Connections(usize),
    #[error("{0} connections from this address are open")]
    PerIp(usize),
}

impl Connections {
    pub fn new(limits: &Limits) -> Connections {
        Connections {
            connections_max: limits.connections_max,
            per_ip_max: limits.connections_per_ip_max,
            open: Mutex::default(),
            one_closed: Notify::new(),
        }
    }

    pub fn count(&self) -> usize {
        self.open().by_id.len()
    }

    /// How many connections the address has that has the most.
    pub fn most_of_one_address(&self) -> usize {
        self.open().per_ip.values().copied().max().unwrap_or_default()
    }

    /// Asks every connection to end.
    pub fn close_all(&self) {
        for handle in self.open().by_id.values() {
            handle.is_closing.store(true, Ordering::Release);
            handle.waker.wake();
        }
    }

    /// Waits until one more has ended.
    pub async fn one_closed(&self) {
        self.one_closed.notified().await;
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        loop {
            let one_closed = self.one_closed.notified();
            tokio::pin!(one_closed);
            one_closed.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            one_closed.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("open connections")
    }

    fn admit(&self, ip: IpAddr) -> Result<(u64, Arc<ConnectionHandle>), Refused> {
        let mut open = self.open();
        if open.by_id.len() >= self.connections_max {
            return Err(Refused::Connections(open.by_id.len()));
        }
        let from_ip = open.per_ip.entry(ip).or_default();
        if *from_ip >= self.per_ip_max {
            return Err(Refused::PerIp(*from_ip));
        }
        *from_ip += 1;
        open.last_id += 1;
        let id = open.last_id;
        let handle = Arc::<ConnectionHandle>::default();
        open.by_id.insert(id, Arc::clone(&handle));
        assert!(open.per_ip.len() <= open.by_id.len(), "an address that is counted has a connection");
        Ok((id, handle))
    }

    fn release(&self, id: u64, ip: IpAddr) {
        let mut open = self.open();
        assert!(open.by_id.remove(&id).is_some(), "a connection's place is given back once");
        let from_ip = open.per_ip.get_mut(&ip).expect("the address of an open connection is counted");
        *from_ip -= 1;
        if *from_ip == 0 {
            open.per_ip.remove(&ip);
        }
        assert!(open.per_ip.len() <= open.by_id.len(), "an address that is counted has a connection");
        drop(open);
        self.one_closed.notify_waiters();
    }
}

impl Admission {
    /// A place for a connection from `ip`, if there is one.
    pub fn request<C>(owner: &Arc<C>, ip: IpAddr) -> Result<Admission, Refused>
    where
        C: AsRef<Connections> + Send + Sync + 'static,
    {
        let (id, handle) = owner.as_ref().as_ref().admit(ip)?;
        let connections = Arc::clone(owner) as Arc<dyn AsRef<Connections> + Send + Sync>;
        Ok(Admission { connections, id, ip, handle })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        (*self.connections).as_ref().release(self.id, self.ip);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    struct Owner(Connections);

    impl AsRef<Connections> for Owner {
        fn as_ref(&self) -> &Connections {
            &self.0
        }
    }

    fn owner(connections_max: usize, connections_per_ip_max: usize) -> Arc<Owner> {
        let limits = Limits {
            connections_max,
            connections_per_ip_max,
            connection_idle_max: Duration::ZERO,
            request_bytes_max: 0,
            request_bytes_in_flight_max: 0,
            request_arrival_max: Duration::ZERO,
            response_send_max: Duration::ZERO,
            fetch_bytes_max: 0,
        };
        Arc::new(Owner(Connections::new(&limits)))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    #[test]
    fn a_place_given_back_is_given_again() {
        let owner = owner(2, 2);
        let first = Admission::request(&owner, ip(1)).expect("room");
        let _second = Admission::request(&owner, ip(2)).expect("room");

        assert_eq!(Admission::request(&owner, ip(3)).err(), Some(Refused::Connections(2)));
        drop(first);

        assert!(Admission::request(&owner, ip(3)).is_ok());
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let owner = owner(10, 1);
        let first = Admission::request(&owner, ip(1)).expect("room");

        assert_eq!(Admission::request(&owner, ip(1)).err(), Some(Refused::PerIp(1)));
        assert!(Admission::request(&owner, ip(2)).is_ok());
        drop(first);

        assert!(Admission::request(&owner, ip(1)).is_ok());
        assert_eq!(owner.0.count(), 0);
    }

    #[test]
    fn closing_reaches_every_open_connection() {
        let owner = owner(10, 10);
        let first = Admission::request(&owner, ip(1)).expect("room");

        owner.0.close_all();

        assert!(first.handle.is_closing());
    }
}
