//! `[groups.NAME]`: a consumer group as a scenario tells it, and as the seed completes it.
//!
//! Its members run on nodes of their own, called `NAME-1` to `NAME-n`. What a member does is `workload`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use seedlog::consumer::AutoReset;
use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::rng::derive;
use serde::Deserialize;

use super::Scenario;
use super::plan::{self, TopicPlan};
use super::settings::{Owner, Settings};

pub const MEMBERS_MAX: u32 = 64;
pub const STREAMS_MAX: u32 = 16;

/// Consumers that share topics. `None` means: the seed decides.
#[derive(Clone, Debug)]
pub struct Group {
    pub topics: Vec<String>,
    /// How many members it has.
    pub consumers: Option<u32>,
    /// Streams a topic of each member.
    pub streams: Option<u32>,
    pub commit: Option<Commit>,
    pub commit_interval: Option<Duration>,
    pub commit_records: Option<u64>,
    pub finish: Option<Finish>,
    pub reset: Option<AutoReset>,
    /// How long a record is worked on, at most.
    pub processing: Option<Duration>,
    /// Of a member with ZooKeeper.
    pub session: Option<Duration>,
    /// Of its members as consumers.
    pub config: Settings,
    /// What the built-in application does.
    pub habits: Settings,
    /// Whether the seed draws what `config` and `habits` leave open.
    pub any_settings: bool,
    /// The name under which the consuming application is registered; the built-in one where there is none.
    pub application: Option<String>,
    /// Whether the seed may leave the group out.
    pub is_optional: bool,
}

/// When a member commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Commit {
    /// By the library, every so often.
    Auto,
    /// By the application, after every few records.
    Manual,
    /// By the application, before it works on a record: at most once, and wrong where more is promised.
    BeforeProcessing,
}

/// How a member says that it is done with a record (P17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// By asking for the next one.
    OnNext,
    /// By marking it.
    Explicit,
}

impl Group {
    /// The nodes of its members, as many as there may be.
    pub fn members_max(&self, name: &str) -> Vec<String> {
        member_names(name, self.consumers.unwrap_or(DRAWN_MEMBERS_MAX))
    }

    /// The nodes of its members that every seed has.
    pub fn members_min(&self, name: &str) -> Vec<String> {
        if self.is_optional { Vec::new() } else { member_names(name, self.consumers.unwrap_or(1)) }
    }
}

/// As many members as the seed draws at most.
const DRAWN_MEMBERS_MAX: u32 = 4;
/// As many streams a topic as the seed draws at most.
const STREAMS_DRAWN_MAX: u64 = 3;

fn member_names(group: &str, count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("{group}-{number}")).collect()
}

/// A group of one run, fully decided.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    pub topics: Vec<String>,
    /// By the name of the member's node.
    pub members: BTreeMap<String, MemberPlan>,
    pub commit: Commit,
    /// How often `auto` commits.
    pub commit_interval: Duration,
    /// After how many records `manual` commits.
    pub commit_records: u64,
    pub finish: Finish,
    pub reset: AutoReset,
    pub session: Duration,
    pub application: Option<String>,
    /// Whether a member comes back under the name of its earlier incarnation, or under a new one.
    pub keeps_names: bool,
    pub rebalance_tries: u32,
    pub rebalance_backoff: Duration,
    /// Records of a stream that may be unfinished at a time.
    pub unfinished_records: usize,
    /// Fetched ahead.
    pub prefetch_bytes: usize,
    /// Of its members as consumers.
    pub config: Settings,
    /// What the built-in application does.
    pub habits: Settings,
}

impl GroupPlan {
    /// What the application does, where the plan says something.
    pub fn habit(&self, key: &str) -> Option<u64> {
        self.habits.get(key).map(|value| value.cast_unsigned())
    }

    /// Whether it is to read every record from the first on. The testbed's own application goes to the beginning
    /// when it is told that there is no position; what another one does is not known.
    pub fn reads_everything(&self) -> bool {
        match self.reset {
            AutoReset::Earliest => true,
            AutoReset::None => self.application.is_none(),
            AutoReset::Latest => false,
        }
    }
}

/// What one member does.
#[derive(Clone, Copy, Debug)]
pub struct MemberPlan {
    /// Streams a topic.
    pub streams: u32,
    /// How long it works on a record, at most.
    pub processing: Duration,
    /// How long after the storm began it starts for the first time.
    pub joins: Duration,
}

/// Draws the groups of a seed.
pub(super) fn draw_groups(
    scenario: &Scenario,
    topics: &BTreeMap<String, TopicPlan>,
    seed: u64,
) -> BTreeMap<String, GroupPlan> {
    let drawn = scenario.groups.iter().filter_map(|(name, group)| {
        let mut rng = derive(seed, &format!("group {name}"));
        let is_left_out = rng.chance(1, 2) && group.is_optional;
        let config = Owner::Consumer.draw(seed, name, &group.config, group.any_settings);
        let habits = Owner::Member.draw(seed, name, &group.habits, group.any_settings);
        let plan = GroupPlan { config, habits, ..draw_group(name, group, topics, &mut rng) };
        (!is_left_out).then(|| (name.clone(), plan))
    });
    drawn.collect()
}

fn draw_group(name: &str, group: &Group, topics: &BTreeMap<String, TopicPlan>, rng: &mut Rng) -> GroupPlan {
    let consumers = rng.between(1, u64::from(DRAWN_MEMBERS_MAX)) as u32;
    let commit = *rng.pick(&[Commit::Auto, Commit::Manual]).expect("not empty");
    let finish = *rng.pick(&[Finish::OnNext, Finish::Explicit]).expect("not empty");
    let session_ms = *rng.pick(&[2_000, 2_000, 4_000, 6_000]).expect("not empty");
    let commit_interval = Duration::from_millis(*rng.pick(&[100, 500, 2_000]).expect("not empty"));
    let commit_records = rng.between(1, 20);
    let commit = group.commit.unwrap_or(commit);
    // What is committed before it is worked on must be marked by hand.
    let finish =
        if commit == Commit::BeforeProcessing { Finish::Explicit } else { group.finish.unwrap_or(finish) };
    let member = |member: String| {
        let plan = MemberPlan {
            streams: group.streams.unwrap_or(rng.between(1, STREAMS_DRAWN_MAX) as u32),
            processing: draw_processing(group, rng),
            joins: draw_joining(group, rng),
        };
        (member, plan)
    };
    let members = member_names(name, group.consumers.unwrap_or(consumers)).into_iter().map(member).collect();
    let keeps_names = rng.chance(1, 2);
    let rebalance_tries = *rng.pick(&[1, 4, 4]).expect("not empty");
    let rebalance_backoff = Duration::from_millis(*rng.pick(&[100, 500, 2_000]).expect("not empty"));
    let unfinished_records = *rng.pick(&[3, 10_000]).expect("not empty");
    let prefetch_bytes = *rng.pick(&[1, 4_096, 1 << 20]).expect("not empty");
    GroupPlan {
        topics: plan::those_there(topics, &group.topics),
        members,
        commit,
        commit_interval: group.commit_interval.unwrap_or(commit_interval),
        commit_records: group.commit_records.unwrap_or(commit_records),
        finish,
        reset: group.reset.unwrap_or(draw_reset(rng)),
        session: group.session.unwrap_or(Duration::from_millis(session_ms)),
        application: group.application.clone(),
        keeps_names,
        rebalance_tries,
        rebalance_backoff,
        unfinished_records,
        prefetch_bytes,
        config: Settings::new(),
        habits: Settings::new(),
    }
}

/// Mostly the smallest offset: of a group that begins at the end of the log less can be demanded.
pub(super) fn draw_reset(rng: &mut Rng) -> AutoReset {
    let resets = [AutoReset::Earliest, AutoReset::Earliest, AutoReset::Latest, AutoReset::None];
    *rng.pick(&resets).expect("not empty")
}

/// Some members do nothing but take, some are hardly fast enough.
fn draw_processing(group: &Group, rng: &mut Rng) -> Duration {
    let millis = *rng.pick(&[0, 0, 5, 20, 60]).expect("not empty");
    group.processing.unwrap_or(Duration::from_millis(millis))
}

/// Most members are there from the beginning. A story that counts its consumers has them all at once.
fn draw_joining(group: &Group, rng: &mut Rng) -> Duration {
    let late = Duration::from_millis(rng.between(1, 8_000));
    let is_late = rng.chance(1, 4) && group.consumers.is_none();
    if is_late { late } else { Duration::ZERO }
}
