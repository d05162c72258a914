//! What network programs are drawn from. In `settled` ones all that was sent has arrived before the next step, in `racing`
//! ones it may be on its way.

use super::{Side, Step};
use crate::program::{Draws, Limits, Program};

pub const THEMES: [&str; 2] = ["settled", "racing"];

const STEPS: std::ops::Range<u64> = 5..14;

/// All together stay far below the smallest window.
const BYTES_MAX: u64 = 4_000;

const SLOTS: u64 = 2;

/// The program of a theme and a seed.
pub fn draw(theme: &str, seed: u64) -> Program {
    let mut draws = Draws::new(theme, seed);
    let count = STEPS.start + draws.below(STEPS.end - STEPS.start);
    let begun = [Step::Connect(0), Step::Accept(0)];
    let begun = begun.into_iter().take(if draws.below(8) == 0 { 1 } else { 2 });
    let steps = begun.chain((0..count).map(|_| step(&mut draws)));
    let data = |step| serde_json::to_value(step).expect("a step is data");
    Program {
        name: format!("net/{theme}/{seed}"),
        limits: Limits::default(),
        steps: steps.map(data).collect(),
    }
}

fn step(draws: &mut Draws) -> Step {
    let side = *draws.one_of(&[Side::Client, Side::Server]);
    let slot = if draws.below(4) == 0 { 1 + draws.below(SLOTS - 1) as u8 } else { 0 };
    match draws.below(40) {
        0..2 => Step::Connect(slot),
        2 => Step::ConnectNowhere,
        3..5 => Step::Accept(slot),
        5..16 => Step::Send(side, slot, 1 + draws.below(BYTES_MAX) as u32),
        16..25 => Step::Read(side, slot),
        25..29 => Step::Shutdown(side, slot),
        29..33 => Step::Close(side, slot),
        33..35 => Step::DropRead(side, slot),
        35..37 => Step::DropWrite(side, slot),
        37..39 => Step::CloseListener,
        _ => Step::Listen,
    }
}
