//! How fast a peer must read, at least, and how it keeps to that.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::{Elapsed, clock};
use crate::types::Instant;

/// What a peer must take of what is sent to it: `bytes` in each `time`, or all that is left. Whoever is slow may be slow
/// for long; whoever stands still is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub bytes: u64,
    pub time: Duration,
}

/// One transfer, and how long it may still wait.
pub(super) struct Pacer {
    /// `None`: for ever.
    pace: Option<Pace>,
    /// When the peer kept the sender waiting first, or was found to have kept the pace.
    since: Option<Instant>,
    /// Bytes that the peer took since then.
    taken: u64,
}

impl Pacer {
    pub fn new(pace: Option<Pace>) -> Pacer {
        Pacer { pace, since: None, taken: 0 }
    }

    pub fn took(&mut self, bytes: u64) {
        self.taken += bytes;
    }

    /// Waits for room at the peer's; `TimedOut` once it has fallen behind its pace.
    pub async fn wait<T>(&mut self, room: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let Some(pace) = self.pace else { return room.await };
        let until = self.deadline(pace, clock::now());
        let waited = clock::timeout(until.saturating_since(clock::now()), room).await;
        waited.unwrap_or_else(|Elapsed| Err(io::ErrorKind::TimedOut.into()))
    }

    fn deadline(&mut self, pace: Pace, now: Instant) -> Instant {
        if self.since.is_none() || self.taken >= pace.bytes {
            self.since = Some(now);
            self.taken = 0;
        }
        self.since.unwrap_or(now) + pace.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { bytes: 100, time: Duration::from_secs(30) };

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn who_takes_enough_in_time_may_be_slow_for_ever() {
        let mut pacer = Pacer::new(Some(PACE));
        let mut now = 7;
        assert_eq!(pacer.deadline(PACE, at(now)), at(now + 30));
        for _ in 0..100 {
            pacer.took(60);
            now += 20;
            pacer.deadline(PACE, at(now));
            pacer.took(40);
            now += 9;
            assert_eq!(pacer.deadline(PACE, at(now)), at(now + 30));
        }
    }

    #[test]
    fn who_takes_a_byte_now_and_then_gains_no_time() {
        let mut pacer = Pacer::new(Some(PACE));
        pacer.took(1_000_000);
        assert_eq!(pacer.deadline(PACE, at(0)), at(30), "before the first wait nobody is slow");
        for now in 1..30 {
            pacer.took(3);
            assert_eq!(pacer.deadline(PACE, at(now)), at(30));
        }
    }
}
