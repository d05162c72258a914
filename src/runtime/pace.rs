//! How fast a peer must read, at least, and how it keeps to that.
//!
//! Pure: what was taken and the time in, how long to wait out.

use std::time::Duration;

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

    /// How long the peer may keep the sender waiting now; `None`: for ever.
    pub fn time_left(&mut self, now: Instant) -> Option<Duration> {
        let pace = self.pace?;
        if self.since.is_none() || self.taken >= pace.bytes {
            self.since = Some(now);
            self.taken = 0;
        }
        Some((self.since.unwrap_or(now) + pace.time).saturating_since(now))
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
        assert_eq!(pacer.time_left(at(now)), Some(PACE.time));
        for _ in 0..100 {
            pacer.took(60);
            now += 20;
            assert_eq!(pacer.time_left(at(now)), Some(Duration::from_secs(10)));
            pacer.took(40);
            now += 9;
            assert_eq!(pacer.time_left(at(now)), Some(PACE.time));
        }
    }

    #[test]
    fn who_takes_a_byte_now_and_then_gains_no_time() {
        let mut pacer = Pacer::new(Some(PACE));
        pacer.took(1_000_000);
        assert_eq!(pacer.time_left(at(0)), Some(PACE.time), "before the first wait nobody is slow");
        for now in 1..30 {
            pacer.took(3);
            assert_eq!(pacer.time_left(at(now)), Some(Duration::from_secs(30 - now)));
        }
    }
}
