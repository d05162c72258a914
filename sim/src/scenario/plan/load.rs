//! How much a producer sends, and how fast, where the seed decides.
//!
//! Rates are as likely between 5 and 10 a second as between 160 and 320, and so are numbers of records. Whoever is
//! through early rests in between, so that faults meet somebody at work.

use std::time::Duration;

use seedlog::runtime::rng::Rng;

use crate::scenario::Settings;

const PER_SECOND: (u64, u64) = (5, 500);
const RECORDS: (u64, u64) = (20, 640);
/// A producer is at work for so long, in seconds.
const LASTS: (u64, u64) = (6, 25);

pub(super) struct Load {
    pub records: u64,
    pub interval: Duration,
    /// After so many records it rests for so long.
    surge: Option<(u64, Duration)>,
}

impl Load {
    /// Without haste or rest: of a story whose producers are its own.
    pub fn steady(rng: &mut Rng) -> Load {
        let records = rng.between(200, 600);
        Load { records, interval: interval(rng.between(10, 50)), surge: None }
    }

    pub fn draw(rng: &mut Rng) -> Load {
        let per_second = by_octave(rng, PER_SECOND);
        let lasts = rng.between(LASTS.0, LASTS.1);
        let records = by_octave(rng, RECORDS).min(per_second * lasts);
        let in_a_row = interval(per_second) * records as u32;
        let surges = rng.between(6, 24);
        let idle = Duration::from_secs(lasts).saturating_sub(in_a_row);
        let rests = idle > Duration::from_secs(1);
        Load {
            records,
            interval: interval(per_second),
            surge: rests.then(|| (records.div_ceil(surges), idle / surges as u32)),
        }
    }

    /// With what makes the producer rest. What is written stays.
    pub fn into_habits(self, mut habits: Settings) -> Settings {
        if let Some((records, rest)) = self.surge
            && !habits.contains_key("surge")
        {
            habits.insert("surge".to_owned(), records.cast_signed());
            habits.insert("rests-ms".to_owned(), rest.as_millis() as i64);
        }
        habits
    }
}

fn interval(per_second: u64) -> Duration {
    Duration::from_micros(1_000_000 / per_second)
}

/// Each doubling is as likely as the others.
fn by_octave(rng: &mut Rng, (least, most): (u64, u64)) -> u64 {
    let octaves = u64::from((most / least).ilog2()) + u64::from(!(most / least).is_power_of_two());
    let low = least << rng.below(octaves);
    rng.between(low, (low * 2).min(most))
}

#[cfg(test)]
mod tests {
    use seedlog::runtime::sim::rng::derive;

    use super::*;

    fn loads() -> Vec<Load> {
        (0..500).map(|seed| Load::draw(&mut derive(seed, "load"))).collect()
    }

    #[test]
    fn rates_are_spread_over_every_doubling_up_to_the_fastest() {
        let per_second = |load: &Load| 1_000_000 / load.interval.as_micros();
        let count = |low, high| loads().iter().map(per_second).filter(|n| (low..high).contains(n)).count();
        for (low, high) in [(5, 11), (20, 41), (160, 321), (320, 501)] {
            assert!((40..120).contains(&count(low, high)), "{low} to {high}: {}", count(low, high));
        }
        assert_eq!(count(5, 501), 500);
    }

    #[test]
    fn nobody_sends_for_longer_than_a_storm_lasts() {
        let lasts = |load: &Load| {
            let rests =
                load.surge.map_or(Duration::ZERO, |(surge, rest)| rest * (load.records / surge) as u32);
            load.interval * load.records as u32 + rests
        };
        assert!(loads().iter().all(|load| lasts(load) <= Duration::from_secs(LASTS.1)));
        assert!(loads().iter().filter(|load| load.surge.is_some()).count() > 150);
    }
}
