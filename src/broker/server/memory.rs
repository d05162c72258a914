//! Memory for large requests, charged as their bytes come.
//!
//! Every connection has [`FREE_BYTES`] for itself, so that a small request never waits. What a larger one takes
//! beyond is charged in steps, each no larger than what has arrived already: an announced length costs nothing.
//! Of requests that each hold a part and wait for more none would ever go on; therefore room for one request of
//! the largest size is kept back, and whoever waits longest for it may finish in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broker::config::Limits;

/// Requests up to this size need no share of the budget.
pub(super) const FREE_BYTES: usize = 64 * 1024;
/// The budget is counted in units of this many bytes.
const UNIT_BYTES: usize = 1024;

/// What all requests of a broker may take together: `request_bytes_in_flight_max`.
pub(in crate::broker) struct RequestMemory {
    /// In units.
    shared: Arc<Semaphore>,
    /// One permit: room for one request of the largest size.
    reserve: Arc<Semaphore>,
    bytes_held: AtomicUsize,
    requests_waiting: AtomicUsize,
}

/// What one request holds; given back when dropped.
pub(super) struct Charge {
    memory: Arc<RequestMemory>,
    bytes: usize,
    shared: Option<OwnedSemaphorePermit>,
    reserve: Option<OwnedSemaphorePermit>,
}

/// Counts those who wait.
struct OneWaits<'a>(&'a RequestMemory);

impl RequestMemory {
    pub fn new(limits: &Limits) -> RequestMemory {
        let shared_bytes = limits.request_bytes_in_flight_max.saturating_sub(limits.request_bytes_max);
        RequestMemory {
            shared: Arc::new(Semaphore::new(shared_bytes / UNIT_BYTES)),
            reserve: Arc::new(Semaphore::new(1)),
            bytes_held: AtomicUsize::new(0),
            requests_waiting: AtomicUsize::new(0),
        }
    }

    /// Bytes charged.
    pub fn bytes_held(&self) -> usize {
        self.bytes_held.load(Ordering::Relaxed)
    }

    /// Whether a request waits for others to end.
    pub fn is_short(&self) -> bool {
        self.requests_waiting.load(Ordering::Relaxed) > 0
    }
}

impl Charge {
    pub fn new(memory: &Arc<RequestMemory>) -> Charge {
        Charge { memory: Arc::clone(memory), bytes: 0, shared: None, reserve: None }
    }

    /// Charges what a request of which `bytes` are in memory takes beyond its free share; true if it waited.
    /// Safe to drop. Without a deadline: whoever holds memory and stands still is dropped while somebody waits, and the
    /// one with the reserve is through in the time that a request may take to arrive.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes.saturating_sub(FREE_BYTES);
        let missing = bytes.div_ceil(UNIT_BYTES).saturating_sub(self.units());
        let mut waited = false;
        if missing > 0 && self.reserve.is_none() {
            waited = self.take(u32::try_from(missing).expect("a frame is below 2^31 bytes")).await;
        }
        let is_covered = self.reserve.is_some() || self.units() * UNIT_BYTES >= bytes;
        assert!(is_covered, "memory is charged before it is used");
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        self.memory.bytes_held.fetch_add(more, Ordering::Relaxed);
        waited
    }

    /// Whether it is the one that may take all it wants while the others wait.
    pub fn has_reserve(&self) -> bool {
        self.reserve.is_some()
    }

    /// Gives back what is charged beyond `bytes`. The reserve, for which all others wait, is exchanged for a share
    /// where there is one.
    pub fn shrink_to(&mut self, bytes: usize) {
        let bytes = bytes.saturating_sub(FREE_BYTES).min(self.bytes);
        let units = bytes.div_ceil(UNIT_BYTES);
        if self.reserve.is_some() {
            let missing =
                u32::try_from(units.saturating_sub(self.units())).expect("a frame is below 2^31 bytes");
            if let Ok(permit) = Arc::clone(&self.memory.shared).try_acquire_many_owned(missing) {
                self.keep(permit);
                self.reserve = None;
            }
        }
        let surplus = self.units().saturating_sub(units);
        drop(self.shared.as_mut().and_then(|held| held.split(surplus)));
        self.memory.bytes_held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    fn units(&self) -> usize {
        self.shared.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    async fn take(&mut self, missing: u32) -> bool {
        let shared = Arc::clone(&self.memory.shared);
        if let Ok(permit) = Arc::clone(&shared).try_acquire_many_owned(missing) {
            self.keep(permit);
            return false;
        }
        let memory = Arc::clone(&self.memory);
        let _waits = OneWaits::begin(&memory);
        tokio::select! {
            biased;
            permit = shared.acquire_many_owned(missing) => self.keep(permit.expect("never closed")),
            reserve = Arc::clone(&memory.reserve).acquire_owned() => {
                self.reserve = Some(reserve.expect("never closed"));
            }
        }
        true
    }

    fn keep(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.shared {
            Some(held) => held.merge(permit),
            None => self.shared = Some(permit),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let before = self.memory.bytes_held.fetch_sub(self.bytes, Ordering::Relaxed);
        assert!(before >= self.bytes, "what was charged is given back once");
    }
}

impl OneWaits<'_> {
    fn begin(memory: &RequestMemory) -> OneWaits<'_> {
        memory.requests_waiting.fetch_add(1, Ordering::Relaxed);
        OneWaits(memory)
    }
}

impl Drop for OneWaits<'_> {
    fn drop(&mut self) {
        let before = self.0.requests_waiting.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a request that waits was counted");
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll};

    use super::*;

    const LARGEST: usize = 100 * UNIT_BYTES;

    /// Room for one request of the largest size and for `units` more.
    fn memory(units: usize) -> Arc<RequestMemory> {
        Arc::new(RequestMemory {
            shared: Arc::new(Semaphore::new(units)),
            reserve: Arc::new(Semaphore::new(1)),
            bytes_held: AtomicUsize::new(0),
            requests_waiting: AtomicUsize::new(0),
        })
    }

    /// Whether the charge is granted at once, without waiting or after others gave way.
    fn is_granted(charge: &mut Charge, bytes: usize) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        matches!(pin!(charge.grow(FREE_BYTES + bytes)).poll(&mut cx), Poll::Ready(_))
    }

    #[test]
    fn what_fits_a_connections_own_share_costs_nothing() {
        let memory = memory(0);
        let mut charges: Vec<Charge> = (0..3).map(|_| Charge::new(&memory)).collect();

        assert!(charges.iter_mut().all(|charge| is_granted(charge, 0)));
        assert_eq!(memory.bytes_held(), 0);
    }

    #[test]
    fn of_requests_that_each_hold_a_part_one_at_a_time_goes_on() {
        let memory = memory(20);
        let [mut first, mut second] = [Charge::new(&memory), Charge::new(&memory)];
        assert!(is_granted(&mut first, 10 * UNIT_BYTES));
        assert!(is_granted(&mut second, 10 * UNIT_BYTES));

        assert!(is_granted(&mut first, LARGEST), "the reserve is free");
        assert!(!is_granted(&mut second, 11 * UNIT_BYTES), "nothing is left");
        assert_eq!(memory.bytes_held(), LARGEST + 10 * UNIT_BYTES);
        drop(first);

        assert!(is_granted(&mut second, LARGEST));
        drop(second);
        assert_eq!((memory.bytes_held(), memory.shared.available_permits()), (0, 20));
        assert_eq!(memory.reserve.available_permits(), 1);
    }

    #[test]
    fn it_is_known_while_a_request_waits() {
        let memory = memory(0);
        let [mut first, mut second] = [Charge::new(&memory), Charge::new(&memory)];
        assert!(is_granted(&mut first, UNIT_BYTES));
        assert!(!memory.is_short());

        let mut cx = Context::from_waker(std::task::Waker::noop());
        {
            let mut waiting = pin!(second.grow(FREE_BYTES + 1));
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            assert!(memory.is_short());
        }
        assert!(!memory.is_short());
    }
}
