//! Brings your own consuming application into the simulated cluster: it is run as the process of each member of
//! a group, is killed, paused, cut off and started again, and says itself what it has processed.
//!
//! Simulated code draws time and randomness from [`seedlog::runtime`] alone; a thread or a clock of the machine
//! would make runs unrepeatable.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::consumer::membership::{Finish, GroupConfig};
use seedlog::consumer::{ConsumedRecord, ConsumerConfig, OnCorruption};
use seedlog::facts::{self, Fact};
use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::effects::{self, NOTICEABLE};
use seedlog::runtime::{clock, rng};
use seedlog::zookeeper::ZooKeeperConfig;

use crate::scenario::group::{GroupPlan, MemberPlan};
use crate::scenario::settings::apply_to_consumer;
use crate::scenario::{self, Commit, Plan};
use crate::workload::Shared;

/// A request of a member is given up after this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// What work on a record takes at most, before it is multiplied, of a member that is slow and had none.
const SLOW_LEAST: Duration = Duration::from_millis(5);

/// What a member's process does. Any `async fn(AppContext) -> anyhow::Result<()>` is one.
///
/// It is called anew for every incarnation of a node. `Ok` ends the process: the member has left. An error ends it too,
/// is told in the report, and a supervisor starts the process again after a while.
pub trait Application: Send + Sync + 'static {
    fn run(&self, context: AppContext) -> Incarnation;
}

/// One incarnation of a process.
pub type Incarnation = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

#[deprecated(note = "it is called `Incarnation`")]
pub type Life = Incarnation;

impl<F, L> Application for F
where
    F: Fn(AppContext) -> L + Send + Sync + 'static,
    L: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    fn run(&self, context: AppContext) -> Incarnation {
        Box::pin(self(context))
    }
}

/// Applications by the names under which groups ask for them.
#[derive(Clone, Default)]
pub struct Applications(BTreeMap<String, Arc<dyn Application>>);

impl Applications {
    /// Registers `application`: for the group of this name, and for groups that say `application = "NAME"`.
    pub fn insert(&mut self, name: &str, application: impl Application) {
        self.0.insert(name.to_owned(), Arc::new(application));
    }

    /// Whether everything is registered that the groups of `plan` ask for; names what is not.
    pub(crate) fn suffice_for(&self, plan: &Plan) -> Result<(), String> {
        let mut groups = plan.groups.iter();
        groups.try_for_each(|(name, group)| self.of(name, group.application.as_deref()).map(|_| ()))
    }

    /// What the members of `group` run if the scenario asks for `wanted`; `Ok(None)` is the testbed's own. An
    /// error names what is missing.
    pub(crate) fn of(
        &self,
        group: &str,
        wanted: Option<&str>,
    ) -> Result<Option<Arc<dyn Application>>, String> {
        let found = self.0.get(wanted.unwrap_or(group)).cloned();
        match (wanted, &found) {
            (Some(wanted), None) => {
                Err(format!("the group `{group}` runs the application `{wanted}`, which nobody registered"))
            }
            _ => Ok(found),
        }
    }
}

impl fmt::Debug for Applications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an application is told about its place in the cluster, and what it tells about its work.
#[derive(Clone)]
pub struct AppContext {
    pub(crate) member: String,
    pub(crate) group: String,
    pub(crate) plan: Arc<GroupPlan>,
    pub(crate) bootstrap: Vec<String>,
    pub(crate) zookeeper: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) draws: Arc<Mutex<Rng>>,
}

impl AppContext {
    /// Taken by the member's own process, so that it draws from its own stream.
    pub(crate) fn new(place: Place) -> AppContext {
        let Place { member, group, plan, bootstrap, zookeeper, shared } = place;
        let draws = Arc::new(Mutex::new(rng::stream("workload")));
        AppContext { member, group, plan, bootstrap, zookeeper, shared, draws }
    }

    /// The member's name, which is its client id as well.
    pub fn name(&self) -> &str {
        &self.member
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// `host:port` of every broker.
    pub fn bootstrap(&self) -> &[String] {
        &self.bootstrap
    }

    /// `host:port` of ZooKeeper.
    pub fn zookeeper(&self) -> &str {
        &self.zookeeper
    }

    /// A configuration that finds the cluster and has what the scenario or the seed chose.
    pub fn group_config(&self) -> GroupConfig {
        let plan = &self.plan;
        let mut consumer = ConsumerConfig {
            bootstrap: self.bootstrap.clone(),
            client_id: self.member.clone(),
            request_timeout: REQUEST_TIMEOUT,
            on_corruption: OnCorruption::Skip,
            prefetch_bytes_max: plan.prefetch_bytes,
            ..ConsumerConfig::default()
        };
        apply_to_consumer(&plan.config, &mut consumer);
        let zookeeper = ZooKeeperConfig {
            servers: vec![self.zookeeper.clone()],
            session_timeout: plan.session,
            connect_timeout: plan.session / 3,
        };
        GroupConfig {
            member: plan.keeps_names.then(|| self.member.clone()),
            reset: plan.reset,
            auto_commit: (plan.commit == Commit::Auto).then_some(plan.commit_interval),
            finish: match plan.finish {
                scenario::Finish::OnNext => Finish::OnNext,
                scenario::Finish::Explicit => Finish::Explicit,
            },
            rebalance_tries_max: plan.rebalance_tries,
            rebalance_backoff: plan.rebalance_backoff,
            unfinished_records_max: plan.unfinished_records,
            ..GroupConfig::new(&self.group, consumer, zookeeper)
        }
    }

    /// Streams by topic, as the scenario or the seed wants them.
    pub fn subscription(&self) -> BTreeMap<String, u32> {
        let streams = self.member_plan().streams;
        self.plan.topics.iter().map(|topic| (topic.clone(), streams)).collect()
    }

    /// Takes the time that work on one record takes here: drawn from the seed, longer where the testbed made
    /// this member slow.
    pub async fn work(&self) {
        let slowness = self.shared.slowness(&self.member);
        let usual = self.member_plan().processing;
        // Whoever is slow takes its time even over what costs the others none.
        let longest = if slowness > 1 { usual.max(SLOW_LEAST) * slowness } else { usual };
        if !longest.is_zero() {
            let micros = self.draws.lock().expect("no draw panics").below(longest.as_micros() as u64);
            let time = Duration::from_micros(micros);
            if time - time / slowness > NOTICEABLE {
                effects::struck_here("slow-consumer");
            }
            clock::sleep(time).await;
        }
    }

    /// States that everything that `record` asks for has been done, for good: what the group is judged by.
    pub fn processed(&self, record: &ConsumedRecord) {
        facts::record(|| Fact::Processed {
            consumer: self.member.clone(),
            partition: record.partition.clone(),
            offset: record.offset,
        });
    }

    /// Waits until the testbed wants this member to leave the group in an orderly way.
    pub async fn asked_to_leave(&self) {
        self.shared.asked_to_leave(&self.member).await;
    }

    /// Puts a sentence into the run's report, should it come to that.
    pub fn report(&self, trouble: impl fmt::Display) {
        self.shared.report(format!("{}: {trouble}", self.member));
    }

    fn member_plan(&self) -> &MemberPlan {
        &self.plan.members[&self.member]
    }
}

/// What an [`AppContext`] is made of.
#[derive(Clone)]
pub(crate) struct Place {
    pub member: String,
    pub group: String,
    pub plan: Arc<GroupPlan>,
    pub bootstrap: Vec<String>,
    pub zookeeper: String,
    pub shared: Arc<Shared>,
}
