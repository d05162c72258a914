//! Breaks one seed on purpose, so that tests see what the runner makes of it: `SEEDLOG_SIM_SABOTAGE=abort@17`.
//!
//! Set for every process of a session by its environment; whoever sets it is told so.

use std::hint::black_box;
use std::str::FromStr;
use std::time::Duration;

use crate::scenario::file::parse_seed;

/// Names what breaks, and in which seed.
pub const VARIABLE: &str = "SEEDLOG_SIM_SABOTAGE";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hang,
    Panic,
    Abort,
    Overflow,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sabotage {
    kind: Kind,
    seed: u64,
}

/// Whether some seed is to be broken.
pub fn is_on() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Refuses what is no sabotage, and warns of what is.
pub fn announce() -> anyhow::Result<()> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let sabotage: Sabotage = text.to_string_lossy().parse().map_err(anyhow::Error::msg)?;
    eprintln!("warning: {VARIABLE} is set: seed {} will {:?}", sabotage.seed, sabotage.kind);
    Ok(())
}

/// Breaks the run of `seed`, if it is the one.
pub fn strike(seed: u64) {
    let Ok(text) = std::env::var(VARIABLE) else { return };
    match text.parse() {
        Ok(Sabotage { kind, seed: broken }) if broken == seed => kind.strike(),
        // `announce` has refused what is unreadable.
        _ => {}
    }
}

impl Kind {
    fn strike(self) {
        match self {
            Kind::Hang => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            Kind::Panic => panic!("sabotage"),
            Kind::Abort => std::process::abort(),
            Kind::Overflow => {
                black_box(deeper(black_box(0)));
            }
            Kind::Memory => {
                // Reserved and not touched: the limit is met, the machine does not notice.
                const CHUNK_BYTES: usize = 256 << 20;
                let mut chunks: Vec<Vec<u8>> = Vec::new();
                loop {
                    chunks.push(black_box(Vec::with_capacity(CHUNK_BYTES)));
                }
            }
        }
    }
}

/// Goes on until there is no stack left.
#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    deeper(depth + 1).wrapping_add(black_box(&frame)[7])
}

impl FromStr for Sabotage {
    type Err = String;

    fn from_str(text: &str) -> Result<Sabotage, String> {
        let wrong =
            || format!("{VARIABLE}={text} is none of hang, panic, abort, overflow, memory with @SEED");
        let (kind, seed) = text.split_once('@').ok_or_else(wrong)?;
        let kind = match kind {
            "hang" => Kind::Hang,
            "panic" => Kind::Panic,
            "abort" => Kind::Abort,
            "overflow" => Kind::Overflow,
            "memory" => Kind::Memory,
            _ => return Err(wrong()),
        };
        Ok(Sabotage { kind, seed: parse_seed(seed).map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sabotage_names_a_kind_and_a_seed() {
        assert_eq!("abort@17".parse(), Ok(Sabotage { kind: Kind::Abort, seed: 17 }));
        for text in ["", "abort", "abort@", "abort@x", "smash@17"] {
            assert!(text.parse::<Sabotage>().unwrap_err().contains("hang, panic"), "{text}");
        }
    }
}
