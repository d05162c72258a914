//! Injures the cluster: what a scenario's steps say, and what the seed draws, each class of faults in a file.
//!
//! Every fault is stated in the history before it takes effect, and undone by the heal at the latest.

mod aim;
mod bites;
mod chaos;
mod clock;
mod disk;
mod left;
mod load;
mod network;
mod ongoing;
mod process;
mod script;
mod storm;
mod struck;
mod zookeeper;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::net::{self, Connection};
use seedlog::runtime::sim::{rng, world};
use seedlog::types::BrokerId;

use crate::cluster::Cluster;
use crate::history::{Injected, Recorder};
use crate::scenario::{CrashPoint, Damage, LeftBroken, Plan};
pub use bites::{Bites, has_bitten, has_changed_anything};
use network::Directions;
use ongoing::Ongoing;
pub use storm::Storm;
pub use struck::{Origin, Struck};

/// The name of a node.
type Name = Arc<str>;

/// The hand that injures. Knows what is injured now, so that the heal can undo it.
pub struct Injector {
    cluster: Rc<Cluster>,
    recorder: Rc<Recorder>,
    draws: Rng,
    /// How long ZooKeeper waits for a broker: pauses and restarts are drawn around it.
    session: Duration,
    /// Those who are suspended, too.
    paused: BTreeSet<Name>,
    /// Machines that stand still, and the links that were cut for it.
    suspended: BTreeMap<Name, Directions>,
    /// Killed, or without power; a fault's end or a step brings them back.
    put_down: BTreeSet<Name>,
    /// Of these, who was asked to end, and may be on the way.
    asked_to_end: BTreeSet<Name>,
    ill_disks: BTreeSet<Name>,
    /// How many cuts hold each direction.
    cuts: BTreeMap<(Name, Name), u32>,
    ongoing: BTreeSet<Ongoing>,
    /// Connections that hold everything back, by the nodes that they connect.
    stalled: BTreeMap<(Name, Name), Vec<Connection>>,
    /// Nodes that will die at a point of their work, and have not yet.
    armed: BTreeMap<Name, CrashPoint>,
    damage: Damage,
    /// Who is not started again.
    left_dead: Option<Name>,
    /// What is not undone.
    left_on: Option<Ongoing>,
    /// Whose disk is not cured.
    left_ill: Option<Name>,
    /// What was stated since the storm looked last.
    stated: Vec<Injected>,
    /// What the fault was drawn as that strikes now.
    drawn_as: &'static str,
}

impl Injector {
    pub fn new(cluster: Rc<Cluster>, recorder: Rc<Recorder>, plan: &Plan) -> Injector {
        let session_ms =
            plan.broker_config.get("zookeeper.session.timeout.ms").and_then(toml::Value::as_integer);
        Injector {
            cluster,
            recorder,
            draws: rng::world_stream("faults"),
            session: Duration::from_millis(session_ms.unwrap_or(6000).unsigned_abs()),
            paused: BTreeSet::new(),
            suspended: BTreeMap::new(),
            put_down: BTreeSet::new(),
            asked_to_end: BTreeSet::new(),
            ill_disks: BTreeSet::new(),
            cuts: BTreeMap::new(),
            ongoing: BTreeSet::new(),
            stalled: BTreeMap::new(),
            armed: BTreeMap::new(),
            damage: plan.damage(),
            left_dead: None,
            left_on: None,
            left_ill: None,
            stated: Vec::new(),
            drawn_as: "",
        }
    }

    /// Starts every node of `names` that does not run.
    pub fn start_all<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            self.start(&name.into());
        }
    }

    /// Undoes everything: links, disks and processes are well from now on.
    pub fn heal(&mut self) {
        self.mend_everything();
        self.end_all();
        self.disarm_all();
        self.keep_replies();
        for name in std::mem::take(&mut self.ill_disks) {
            self.cure_disk(&name);
        }
        let suspended = self.suspended.keys().cloned();
        for name in std::mem::take(&mut self.paused).into_iter().chain(suspended.collect::<Vec<_>>()) {
            self.resume(&name);
        }
        self.cluster.shared().speed_up_all();
        for name in self.supervised_names().into_iter().chain(self.put_down.clone()) {
            self.start(&name);
        }
    }

    /// This stays broken when everything else is well again.
    pub fn leave_broken(&mut self, left: &LeftBroken) {
        match left {
            LeftBroken::Killed(client) => {
                self.kill(&client.as_str().into());
                self.left_dead = Some(client.as_str().into());
            }
            LeftBroken::WithoutPower(client) => {
                self.fail_power(&client.as_str().into());
                self.left_dead = Some(client.as_str().into());
            }
            LeftBroken::Follower(member) => self.lose_leader_for_good(member),
            LeftBroken::FollowerInPeace(_) => {}
            LeftBroken::Disk { broker, how } => {
                let target = self.name_of(*broker).expect("a plan breaks disks that there are");
                self.break_disk_for_good(&target, *how);
                self.left_ill = Some(target);
            }
        }
    }

    /// The server that serves this member, if one does, does not find its leader again.
    pub fn lose_leader_for_good(&mut self, member: &str) {
        self.left_on = self.detach(&member.into(), true);
    }

    /// Holds the heal to its word, kind by kind: nothing is injured any more. What is broken for good (a byte that was
    /// changed, a wiped disk) is done and over.
    pub fn assert_at_peace(&self) {
        let mut lasting = self.ongoing.iter().filter(|fault| Some(*fault) != self.left_on.as_ref());
        assert!(lasting.next().is_none(), "faults that last: {:?}", self.ongoing);
        assert!(self.cuts.is_empty(), "links that are cut: {:?}", self.cuts);
        let cuts = net::control().cuts();
        assert!(cuts.is_empty(), "links that are cut in the network: {cuts:?}");
        assert!(self.stalled.is_empty(), "connections that stand still: {:?}", self.stalled.keys());
        assert!(self.armed.is_empty(), "nodes that are to die: {:?}", self.armed.keys());
        let mut ill = self.ill_disks.iter().filter(|name| Some(*name) != self.left_ill.as_ref());
        assert!(ill.next().is_none(), "disks that are ill: {:?}", self.ill_disks);
        assert!(self.suspended.is_empty(), "machines that stand still: {:?}", self.suspended.keys());
        assert!(self.paused.is_empty(), "nodes that pause: {:?}", self.paused);
    }

    fn state(&mut self, fault: Injected) {
        self.stated.push(fault.clone());
        self.recorder.fault(fault);
    }

    fn broker_names(&self) -> Vec<Name> {
        self.cluster.brokers().map(|(_, name)| Arc::clone(name)).collect()
    }

    /// The nodes that somebody starts again when they end by themselves: brokers and members of groups.
    fn supervised_names(&self) -> Vec<Name> {
        let all = self.broker_names().into_iter().chain(self.cluster.members().iter().cloned());
        all.filter(|name| Some(name) != self.left_dead.as_ref()).collect()
    }

    /// Any broker whose process runs.
    fn some_running_broker(&mut self) -> Option<Name> {
        let running: Vec<Name> =
            self.broker_names().into_iter().filter(|name| self.is_running(name)).collect();
        self.draws.pick(&running).cloned()
    }

    fn some_broker(&mut self) -> Name {
        let names = self.broker_names();
        self.draws.pick(&names).cloned().expect("a cluster has brokers")
    }

    fn is_running(&self, name: &Name) -> bool {
        world::is_running(self.cluster.node(name))
    }

    /// Whether a fault, not its own decision, ended this broker.
    fn is_put_down(&self, name: &Name) -> bool {
        self.put_down.contains(name)
    }

    fn name_of(&self, broker: BrokerId) -> Option<Name> {
        self.cluster.broker(broker).cloned()
    }
}
