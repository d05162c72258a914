//! `--shard k/n`: deals the runs of a session to n machines, like cards.
//!
//! Which machine gets a run follows from the run's place in the session alone: the shards of one session have no run
//! in common, and together have all of them.

use std::fmt;
use std::str::FromStr;

/// More machines than this are a slip of the pen.
const SHARDS_MAX: u64 = 10_000;

/// One machine's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    number: u64,
    of: u64,
}

impl Default for Shard {
    /// Everything.
    fn default() -> Shard {
        Shard { number: 1, of: 1 }
    }
}

impl Shard {
    /// Whether the run at `place`, counted from 0, is this shard's.
    pub fn takes(self, place: u64) -> bool {
        place % self.of == self.number - 1
    }

    /// How many of `total` runs are this shard's.
    pub fn share_of(self, total: u64) -> u64 {
        (total / self.of) + u64::from(total % self.of >= self.number)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || {
            format!(
                "`{text}` is no shard; write it as 2/5: the second of five, counted from 1, of at most {SHARDS_MAX}"
            )
        };
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard =
            Shard { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        let is_sound = shard.number >= 1 && shard.number <= shard.of && shard.of <= SHARDS_MAX;
        is_sound.then_some(shard).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_the_shards_take_every_run_exactly_once() {
        for of in 1..=7 {
            for place in 0..100 {
                let takers = (1..=of).filter(|&number| Shard { number, of }.takes(place)).count();
                assert_eq!(takers, 1, "place {place} of {of} shards");
            }
        }
    }

    #[test]
    fn a_shard_knows_how_many_runs_it_takes() {
        for of in 1..=5 {
            for number in 1..=of {
                let shard = Shard { number, of };
                for total in 0..23 {
                    let taken = (0..total).filter(|&place| shard.takes(place)).count() as u64;
                    assert_eq!(shard.share_of(total), taken, "{shard} of {total}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_shard_is_refused_with_the_form() {
        assert_eq!("2/5".parse::<Shard>().unwrap().to_string(), "2/5");
        for text in ["", "0/5", "6/5", "1/0", "1", "a/b", "1/2/3", "-1/2", "1/99999999"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("2/5"), "{text}");
        }
    }
}
