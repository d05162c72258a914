//! How long to wait before the next try.
//!
//! Pure: failures and a drawn number in, a pause out.

use std::time::Duration;

/// A pause that doubles with every failure up to a maximum, jittered by a fifth so that many do not try at once.
/// After a failure it is never shorter than [`Backoff::PAUSE_MIN`], whatever was configured.
///
/// ```
/// use std::time::Duration;
///
/// use seedlog::client::Backoff;
///
/// let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
/// assert_eq!(backoff.pause(0, 7), Duration::ZERO, "nothing failed yet");
/// assert!(backoff.pause(3, 7) <= Duration::from_millis(400));
/// assert!(backoff.pause(1_000, 7) <= Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The shortest pause after a failure. Without any pause a client whose broker is gone would try again and again
    /// and let nothing else run. Kafka's `retry.backoff.ms = 0` therefore means a millisecond.
    pub const PAUSE_MIN: Duration = Duration::from_millis(1);

    /// The pause after `failures` in a row (none before the first); `draw` is any number.
    pub fn pause(&self, failures: u32, draw: u64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doubled = self.first.saturating_mul(1 << (failures - 1).min(16));
        let full = doubled.min(self.max);
        // Between 80 % and 100 %, in integers.
        let jittered = full / 100 * (80 + (draw % 21) as u32);
        jittered.max(Backoff::PAUSE_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_millis(1_000) };

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let pauses: Vec<u128> = (0..7).map(|n| BACKOFF.pause(n, 20).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(BACKOFF.pause(u32::MAX, 20).as_millis(), 1_000);
    }

    #[test]
    fn after_a_failure_there_is_a_pause_even_where_none_is_configured() {
        let none = Backoff { first: Duration::ZERO, max: Duration::from_secs(1) };
        assert_eq!(none.pause(0, 20), Duration::ZERO, "nothing failed yet");
        for failures in [1, 2, 1_000] {
            assert_eq!(none.pause(failures, 20), Backoff::PAUSE_MIN);
        }
    }

    #[test]
    fn jitter_takes_at_most_a_fifth() {
        assert_eq!(BACKOFF.pause(1, 0).as_millis(), 80);
        assert!((0..1_000).all(|draw| (80..=100).contains(&BACKOFF.pause(1, draw).as_millis())));
    }
}
