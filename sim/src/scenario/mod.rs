//! A scenario: a story about a cluster, as a TOML file tells it or as the sweep draws it.
//!
//! Checked when read; what the file leaves open is drawn from the seed by `plan`. Running it is the job of
//! `phases`.

mod action;
mod chaos;
mod complaint;
mod error;
pub mod file;
pub mod group;
pub mod happening;
pub mod library;
pub mod plan;
mod plot;
mod raw;
pub mod schema;
mod scope;
mod selector;
pub mod settings;
mod step;
pub mod units;
mod within;
mod words;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::marks::Mark;
use seedlog::record::Compression;
use seedlog::rules::Rule;
use seedlog::runtime::rng::Rng;
use seedlog::types::{Acks, Durability};

pub(crate) use action::DISK_FAILURES;
#[cfg(test)]
pub(crate) use action::parse as parse_action;
pub use action::{Action, CrashPoint, Place};
pub use chaos::{Chaos, Class, Level, Mix};
pub use error::ScenarioError;
pub use file::REBALANCING;
pub use group::{Commit, Finish, Group};
pub use happening::Happening;
pub use library::{Library, SWEEP};
pub use plan::{BrokenDisk, Damage, LeftBroken, Plan};
pub use selector::Selector;
pub use settings::Settings;
pub use step::{Step, Trigger};
pub use within::{Condition, Since, Within};
pub(crate) use words::nearest;
pub use write::Document;

/// Longest that a workload may take; more is a slip of the pen.
pub const STORM_MAX: Duration = Duration::from_secs(3600);
pub const BROKERS_MAX: u32 = 16;
pub const PARTITIONS_MAX: u32 = 64;

/// A checked scenario. `None` means: the seed decides.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's stem.
    pub name: String,
    /// Where the file lies, if it is none of `scenarios/`: from the workspace's root, or absolute.
    pub file: Option<String>,
    /// The file's text, for the run folder and for workers.
    pub text: String,
    pub story: String,
    /// The guarantees and historic bugs that it is about.
    pub covers: Vec<String>,
    pub seeds: Seeds,
    pub brokers: Option<u32>,
    /// Kafka's property names; the same for every broker.
    pub broker_config: toml::Table,
    /// Whether the seed draws what `broker_config` leaves open.
    pub any_broker_settings: bool,
    pub topics: BTreeMap<String, Topic>,
    pub producers: BTreeMap<String, Producer>,
    pub consumers: BTreeMap<String, Consumer>,
    pub groups: BTreeMap<String, Group>,
    /// How long the storm lasts; `None`: until the last producer is to have sent everything.
    pub storm: Option<Duration>,
    pub steps: Vec<Step>,
    pub chaos: Chaos,
    /// The share of the seeds whose drawn faults may go over budget.
    pub over_budget_percent: u64,
    /// Of the faults that the seed draws only these strike, by number; `None`: all.
    pub only: Option<BTreeSet<u64>>,
    pub expect: Expect,
}

/// Which seeds a plain `run` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    One(u64),
    /// 0 to this, exclusive.
    Count(u64),
}

impl Seeds {
    pub fn range(self) -> std::ops::Range<u64> {
        match self {
            Seeds::One(seed) => seed..seed.saturating_add(1),
            Seeds::Count(count) => 0..count,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Topic {
    pub partitions: Option<u32>,
    pub durability: Option<Durability>,
    pub config: BTreeMap<String, String>,
    /// Whether the seed draws what `config` leaves open.
    pub any_settings: bool,
    pub created: Created,
    /// Whether the seed may leave the topic out, with its producers.
    pub is_optional: bool,
}

/// A topic that is made in the storm is made this early, so that something is left to happen to it.
const CREATED_MS_MAX: u64 = 8_000;

/// When a topic is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Created {
    #[default]
    BeforeTheStorm,
    InTheStorm(Duration),
    /// Likewise, when the next member of a group begins to rebalance after that.
    AtARebalance(Duration),
    /// Once the faults are over, right behind somebody's look for it: then whoever has missed it hears of nothing else any
    /// more.
    Healing,
    /// Once the cluster works again; then somebody sends to it at once.
    Healed,
    /// In the storm or while the cluster heals, when the seed says.
    Any,
}

impl Created {
    /// What the seed says.
    fn draw(rng: &mut Rng) -> Created {
        let soon = Duration::from_millis(rng.below(CREATED_MS_MAX));
        match rng.below(6) {
            0..3 => Created::InTheStorm(soon),
            3 => Created::AtARebalance(soon * 2),
            _ => Created::Healing,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Producer {
    pub topic: String,
    pub records: Option<u64>,
    /// Time between two records.
    pub interval: Option<Duration>,
    pub acks: Option<Acks>,
    pub linger: Option<Duration>,
    /// Bytes of a value, at most.
    pub value_bytes: Option<u64>,
    pub keyed: Option<bool>,
    pub compression: Option<Compression>,
    pub config: Settings,
    pub habits: Settings,
    /// Whether the seed draws what `config` and `habits` leave open.
    pub any_settings: bool,
    /// Whether it speaks the bare protocol.
    pub is_wire: bool,
    pub is_optional: bool,
}

/// Reads every partition of its topics from the beginning.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub topics: Vec<String>,
    pub config: Settings,
    /// Whether the seed draws what `config` leaves open.
    pub any_settings: bool,
    pub wanders: bool,
    /// `None`: the seed decides.
    pub reset: Option<AutoReset>,
    pub is_optional: bool,
}

/// What must have happened besides every check holding.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    pub happens: Vec<Happening>,
    /// What the code must have met.
    pub meets: Vec<Mark>,
    /// What must come true in time.
    pub within: Vec<Within>,
    /// Checks, by slug, that this story is allowed to fail.
    pub except: Vec<String>,
    /// Rules whose suspension makes this very story fail.
    pub without: Vec<Without>,
}

/// Suspending `rule` must make the check fail.
#[derive(Clone, Debug)]
pub struct Without {
    pub rule: Rule,
    pub violates: String,
}

impl Scenario {
    /// Reads and checks a scenario; `file` is how errors call it.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        file::parse(name, file, text)
    }
}

/// Whether `text` may name a step, a topic or a client.
pub fn is_name(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    (1..=64).contains(&text.len()) && text.chars().all(is_word)
}

#[cfg(test)]
mod tests;
