//! Tells on stderr how far a long session is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a terminal, and how often a log file, hears of it.
const EVERY_TERMINAL: Duration = Duration::from_millis(500);
const EVERY_LOG: Duration = Duration::from_secs(10);

pub struct Progress {
    started: Instant,
    told: Instant,
    is_terminal: bool,
    total: Option<u64>,
}

impl Progress {
    /// `total` runs to come; `None` where only time is the limit.
    pub fn new(total: Option<u64>) -> Progress {
        let now = Instant::now();
        Progress { started: now, told: now, is_terminal: std::io::stderr().is_terminal(), total }
    }

    /// Says how far it is, if it is time to.
    pub fn update(&mut self, done: u64, failures: u64, events: u64) {
        let every = if self.is_terminal { EVERY_TERMINAL } else { EVERY_LOG };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let total = self.total.map_or_else(String::new, |total| format!("/{total}"));
        let line = format!(
            "{done}{total} seeds, {:.1} seeds/s, {:.2} M events/s, {failures} failed",
            done as f64 / seconds,
            events as f64 / seconds / 1e6
        );
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be told is no reason to stop.
        let _untold = if self.is_terminal {
            write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
    }

    /// Takes the line off a terminal.
    pub fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}
