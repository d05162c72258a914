//! What disk programs are drawn from: each theme has its names, its limits, and its favourite steps.

use super::{Mode, Step};
use crate::program::{Draws, Limits, Program};

pub const THEMES: [&str; 7] =
    ["plain", "two-handles", "directories", "long-names", "little-room", "little-disk", "few-descriptors"];

const STEPS: std::ops::Range<u64> = 20..40;

/// No offset and no length is larger, so that writes overlap.
const BYTES_MAX: u64 = 12_000;

/// What a tmpfs gives out.
const PAGE: u64 = 4_096;

/// The program of a theme and a seed.
pub fn draw(theme: &str, seed: u64) -> Program {
    let mut draws = Draws::new(theme, seed);
    let count = STEPS.start + draws.below(STEPS.end - STEPS.start);
    let limits = match theme {
        "little-room" => Limits { bytes: Some(*draws.one_of(&[512, 4_096, 9_999])), ..Limits::default() },
        "little-disk" => Limits { disk_bytes: Some(PAGE * (1 + draws.below(6))), ..Limits::default() },
        "few-descriptors" => Limits { descriptors: Some(1 + draws.below(5)), ..Limits::default() },
        _ => Limits::default(),
    };
    let mut drawn = Drawn { theme, draws };
    let first = match theme {
        "two-handles" | "little-room" => vec![
            Step::Open(0, "a".to_owned(), Mode::CreateNew),
            Step::Open(1, "a".to_owned(), Mode::ReadWrite),
        ],
        "little-disk" => {
            let files = ["a", "b", "c"].into_iter().zip(0..);
            files.map(|(name, slot)| Step::Open(slot, name.to_owned(), Mode::CreateNew)).collect()
        }
        _ => vec![Step::CreateDirAll("d/e".to_owned())],
    };
    let steps = first.into_iter().chain((0..count).map(|_| drawn.step()));
    let data = |step| serde_json::to_value(step).expect("a step is data");
    Program { name: format!("disk/{theme}/{seed}"), limits, steps: steps.map(data).collect() }
}

struct Drawn<'a> {
    theme: &'a str,
    draws: Draws,
}

impl Drawn<'_> {
    fn step(&mut self) -> Step {
        match self.theme {
            "two-handles" => match self.draws.below(10) {
                0..8 => self.of_file(),
                _ => self.of_name(),
            },
            "little-room" => self.of_file(),
            "little-disk" => self.of_pages(),
            "directories" | "long-names" => match self.draws.below(10) {
                0 => self.of_file(),
                1..3 => self.opening(),
                _ => self.of_name(),
            },
            "few-descriptors" => match self.draws.below(10) {
                0..4 => self.opening(),
                4 => self.of_file(),
                5..7 => self.of_lock(),
                _ => self.of_name(),
            },
            _ => match self.draws.below(10) {
                0..3 => self.opening(),
                3..7 => self.of_file(),
                7 => self.of_lock(),
                _ => self.of_name(),
            },
        }
    }

    fn path(&mut self) -> String {
        let names: &[&str] = match self.theme {
            "two-handles" | "little-room" => &["a", "a", "b"],
            "little-disk" => &["a", "b", "c"],
            "directories" => &["d", "d/e", "d/e/f", "d/e/f/g", "d/x", "g", "g/h", "g/x", "no/x", "d/x/y"],
            "long-names" => &[
                "{254}", "{255}", "{256}", "{u127}", "{u128}", "d/{255}", "d/{256}", "{255}/a", "{256}/a",
                "d", "d/a", "{4000}",
            ],
            _ => &["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "no/a", "a/x", "d/e/a/x/y"],
        };
        (*self.draws.one_of(names)).to_owned()
    }

    fn slot(&mut self) -> u8 {
        self.draws.below(if self.theme == "few-descriptors" { 6 } else { 3 }) as u8
    }

    fn opening(&mut self) -> Step {
        let slot = self.slot();
        let path = self.path();
        let mode = *self.draws.one_of(&[Mode::Read, Mode::ReadWrite, Mode::CreateOrOpen, Mode::CreateNew]);
        match self.draws.below(6) {
            0 => Step::Close(slot),
            _ => Step::Open(slot, path, mode),
        }
    }

    fn of_lock(&mut self) -> Step {
        let slot = self.draws.below(2) as u8;
        match self.draws.below(3) {
            0 => Step::Unlock(slot),
            _ => Step::Lock(slot, self.path()),
        }
    }

    fn of_file(&mut self) -> Step {
        let slot = self.slot();
        let offset = self.draws.below(BYTES_MAX);
        let len = self.draws.below(BYTES_MAX / 4) as u32;
        match self.draws.below(12) {
            0 | 1 => Step::Write(slot, offset / 2, len),
            2 => Step::WriteParts(slot, offset / 2, vec![len / 3, 0, len / 5, 1]),
            3 | 4 => Step::Append(slot, len),
            5 | 6 => Step::ReadAt(slot, offset / 2, len),
            7 => Step::ReadRange(slot, offset / 4, len / 8),
            8 => Step::Len(slot),
            9 => Step::Truncate(slot, offset),
            10 => Step::SyncData(slot),
            _ => Step::ReadAt(slot, 0, 4 * BYTES_MAX as u32),
        }
    }

    /// Whole pages without a hole between, for each takes room by itself.
    fn of_pages(&mut self) -> Step {
        let slot = self.slot();
        let pages = 1 + self.draws.below(3);
        match self.draws.below(16) {
            0..7 => Step::Append(slot, (pages * PAGE) as u32),
            7 => Step::Write(slot, 0, PAGE as u32),
            8 => Step::ReadAt(slot, 0, 4 * BYTES_MAX as u32),
            9 => Step::Len(slot),
            10 | 11 => Step::Truncate(slot, 0),
            12 => Step::SyncData(slot),
            13 => Step::Close(slot),
            14 => Step::Rename(self.path(), self.path()),
            _ => Step::RemoveFile(self.path()),
        }
    }

    fn of_name(&mut self) -> Step {
        match self.draws.below(10) {
            0 => Step::CreateDirAll(self.path()),
            1 | 2 => Step::ReadDir(self.path()),
            3 => Step::Exists(self.path()),
            4..7 => Step::Rename(self.path(), self.path()),
            7 => Step::RemoveFile(self.path()),
            // To empty a directory of directories takes a descriptor for each level, and may fail half-way.
            8 if self.theme == "few-descriptors" => Step::RemoveDirAll("d/e".to_owned()),
            8 => Step::RemoveDirAll(self.path()),
            _ => Step::SyncDir(self.path()),
        }
    }
}
