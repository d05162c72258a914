//! Drives runs: in worker processes, many seeds at once, each repeated where asked, and tells the results.
//!
//! What happens inside a run is `phases`' business.

mod ambiguous;
pub mod annotations;
mod atlas;
mod biting;
mod cache;
mod calendar;
pub mod child;
mod commits;
pub mod compare;
pub mod console;
pub mod crew;
pub mod diff;
mod excused;
mod exercised;
pub mod explain;
pub mod golden;
mod groups;
pub mod inspect;
pub mod judge;
mod junit;
pub mod known;
pub mod named;
mod necessity;
pub mod picture;
pub mod pool;
mod progress;
pub mod promote;
pub mod replay;
pub mod sabotage;
pub mod score;
pub mod session;
pub mod shard;
pub mod shrink;
mod tally;
pub mod token;
mod work;
pub mod worker;

use std::path::PathBuf;
use std::time::Duration;

use seedlog::marks::Mark;
use seedlog::rules::Rule;

use known::Known;
use shard::Shard;

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Pass,
    Violation,
    Usage,
    Nondeterminism,
    Vacuous,
    TimeBudget,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Violation => 1,
            Exit::Usage => 2,
            Exit::Nondeterminism => 3,
            Exit::Vacuous => 4,
            Exit::TimeBudget => 124,
        }
    }
}

/// What every driving command knows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker processes at a time.
    pub jobs: usize,
    /// Rules to suspend.
    pub without: Vec<Rule>,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Stop after this many failed runs.
    pub failures_max: u64,
    /// Repeat this share of the runs, in percent, in another process.
    pub rerun_percent: u64,
    /// Give up after this long; runs that did not fit are not run.
    pub time_budget: Option<Duration>,
    /// A run that takes longer than this on the wall is a hang.
    pub wall_limit: Duration,
    /// Which of the runs are done here.
    pub shard: Shard,
    /// Where to write the session as test cases.
    pub junit: Option<PathBuf>,
    /// Failures that do not count.
    pub known: Known,
    /// Whether passes of the same code are not run again.
    pub cached: bool,
    /// Marks that some run must have met.
    pub must_meet: Vec<Mark>,
    /// The step of a GitHub workflow that is told too.
    pub step: Option<annotations::Step>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            without: Vec::new(),
            json: false,
            failures_max: u64::MAX,
            rerun_percent: 0,
            time_budget: None,
            wall_limit: WALL_LIMIT,
            shard: Shard::default(),
            junit: None,
            known: Known::default(),
            cached: false,
            must_meet: Vec::new(),
            step: None,
        }
    }
}

/// A simulated minute takes well under a second; a machine under load gets the benefit of the doubt.
pub const WALL_LIMIT: Duration = Duration::from_secs(120);

/// Events after which a run counts as spinning.
pub const EVENT_LIMIT: u64 = 20_000_000;

/// Address space of a worker process. A run needs a few hundred MB; its threads reserve some more.
pub const MEMORY_BYTES_MAX: u64 = 4 << 30;
