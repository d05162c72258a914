//! Receives facts as they are stated, stamps them, and feeds the trace hash.
//!
//! Lives on the seed's thread. The entries are shared with the thread that judges, so that a run that ends in
//! a panic still has its history.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use seedlog::facts::{Fact, Sink};
use seedlog::runtime::sim::effects;
use seedlog::runtime::sim::identity::{self, Identity, NodeId};
use seedlog::runtime::sim::trace::{self, Kind};
use seedlog::runtime::sim::world::{self, Death};
use seedlog::runtime::{Instant, clock};
use tokio::sync::Notify;

use super::hasher::stable_hash;
use super::traps::Traps;
use super::{Entered, Entry, Injected, Phase, Seen, What, broker_of_node};
use crate::checkers::Terms;
use crate::liveness::Progress;
use crate::lookout::Lookout;
use crate::survey::{self, Inspector};

/// The history of the run on this thread.
pub struct Recorder {
    entries: Arc<Mutex<Vec<Entry>>>,
    progress: RefCell<Progress>,
    names: RefCell<BTreeMap<NodeId, Arc<str>>>,
    traps: Traps,
    lookout: RefCell<Option<Lookout>>,
    /// Topics whose brokers say when a record was sent: its producer does not know the time that readers see.
    stamped_by_brokers: BTreeSet<Arc<str>>,
    inspector: RefCell<Inspector>,
    /// When each node stated a fact of each kind last.
    stated: RefCell<BTreeMap<(NodeId, &'static str), Instant>>,
    /// A step's time has come.
    called: Notify,
    /// Told whenever a member begins to rebalance.
    on_rebalance: RefCell<Option<Box<dyn Fn()>>>,
}

impl Recorder {
    /// Appends to `entries`, which outlives the run.
    pub fn new(entries: Arc<Mutex<Vec<Entry>>>, terms: &Terms) -> Recorder {
        Recorder {
            entries,
            progress: RefCell::new(Progress::new(terms)),
            names: RefCell::default(),
            traps: Traps::default(),
            lookout: RefCell::default(),
            stamped_by_brokers: BTreeSet::new(),
            inspector: RefCell::default(),
            stated: RefCell::default(),
            called: Notify::new(),
            on_rebalance: RefCell::default(),
        }
    }

    /// Leaves the times of these topics' records out of the history.
    pub fn without_times_of(mut self, topics: impl Iterator<Item = Arc<str>>) -> Recorder {
        self.stamped_by_brokers.extend(topics);
        self
    }

    fn without_brokers_time(&self, mut fact: Fact) -> Fact {
        if let Fact::SendInvoked { partition, record, .. } | Fact::Delivered { partition, record, .. } =
            &mut fact
            && self.stamped_by_brokers.contains(&*partition.topic)
        {
            record.timestamp = None;
        }
        fact
    }

    /// States that the testbed injected a fault, or ended one.
    pub fn fault(&self, fault: Injected) {
        let starts = if let Injected::Start { target } = &fault { Some(Arc::clone(target)) } else { None };
        self.push(Kind::Fault, stable_hash(&fault), What::Fault(fault));
        if let Some(broker) = starts.and_then(|target| broker_of_node(&target)) {
            let seen = self.inspector.borrow().before_start(broker);
            seen.into_iter().for_each(|seen| self.seen(seen));
        }
    }

    /// States what the testbed saw for itself. It follows from what is in the trace already.
    pub fn seen(&self, mut seen: Seen) {
        if let Seen::FinalBatch { partition, records, .. } = &mut seen
            && self.stamped_by_brokers.contains(&*partition.topic)
        {
            records.iter_mut().for_each(|stored| stored.record.timestamp = None);
        }
        self.enter(What::Seen(seen));
    }

    /// States that a phase began.
    pub fn phase(&self, phase: Phase) {
        self.push(Kind::Fault, stable_hash(&phase), What::Phase(Entered { phase }));
    }

    /// What has been reached so far.
    pub fn progress<T>(&self, read: impl FnOnce(&Progress) -> T) -> T {
        read(&self.progress.borrow())
    }

    /// Points at which nodes die.
    pub fn traps(&self) -> &Traps {
        &self.traps
    }

    /// The operation that stated this fact is its incarnation's last if it steps into a trap.
    fn spring(&self, kind: &str) {
        let node = identity::current().node;
        let Some(trap) = self.traps.step(node, kind) else { return };
        effects::struck_here("crash-at-point");
        let target = self.name_of(node);
        self.traps.note(Arc::clone(&target));
        let death = match trap.death {
            Death::PowerFailure => Injected::PowerFailure { target },
            Death::Kill | Death::Exit => Injected::Kill { target },
        };
        identity::with(Identity::TESTBED, || {
            self.fault(death);
            world::end(node, trap.death);
        });
    }

    /// When the node stated a fact of this kind last.
    pub fn last_stated(&self, node: NodeId, kind: &'static str) -> Option<Instant> {
        self.stated.borrow().get(&(node, kind)).copied()
    }

    /// What was stated so far.
    pub fn history<T>(&self, ask: impl FnOnce(&[Entry]) -> T) -> T {
        ask(&self.entries.lock().expect("history"))
    }

    /// Lets `lookout` see every entry from now on.
    pub fn look_out(&self, lookout: Lookout) {
        *self.lookout.borrow_mut() = Some(lookout);
    }

    /// Calls `told` from now on whenever a member of a group begins to rebalance.
    pub fn tell_rebalances(&self, told: impl Fn() + 'static) {
        *self.on_rebalance.borrow_mut() = Some(Box::new(told));
    }

    /// Asks the lookout, if there is one.
    pub fn lookout<T>(&self, ask: impl FnOnce(&mut Lookout) -> T) -> Option<T> {
        self.lookout.borrow_mut().as_mut().map(ask)
    }

    /// Waits until a step's time has come. Cancel-safe: a call that nobody waited for is kept.
    pub async fn call(&self) {
        self.called.notified().await;
    }

    /// What faults did comes before whatever is stated now.
    pub fn state_effects(&self) {
        for effect in effects::take() {
            for seen in survey::effect(effect, |node| self.name_of(node)) {
                self.seen(seen);
            }
        }
    }

    fn push(&self, kind: Kind, hash: u64, what: What) {
        self.state_effects();
        if matches!(what, What::Fault(_)) {
            effects::tell_again();
        }
        trace::event(kind, hash);
        self.enter(what);
    }

    fn enter(&self, what: What) {
        let identity = identity::current();
        self.progress.borrow_mut().observe(&what);
        let entry = Entry {
            at_ns: clock::world_now().as_nanos(),
            node: self.name_of(identity.node),
            incarnation: identity.incarnation,
            what,
        };
        if self.lookout(|lookout| lookout.observe(&entry)) == Some(true) {
            self.called.notify_one();
        }
        self.entries.lock().expect("history").push(entry);
    }

    fn name_of(&self, node: NodeId) -> Arc<str> {
        let mut names = self.names.borrow_mut();
        Arc::clone(names.entry(node).or_insert_with(|| world::name_of(node).into()))
    }
}

impl Sink for Recorder {
    fn record(&self, fact: Fact) {
        let kind = fact.kind();
        if let (Fact::RebalanceStarted { .. }, Some(told)) = (&fact, &*self.on_rebalance.borrow()) {
            told();
        }
        let fact = self.without_brokers_time(fact);
        let node = identity::current().node;
        let seen = self.inspector.borrow_mut().inspect(node, &fact);
        self.push(Kind::Fact, stable_hash(&fact), What::Fact(fact));
        self.stated.borrow_mut().insert((node, kind), clock::world_now());
        seen.into_iter().for_each(|seen| self.seen(seen));
        self.spring(kind);
    }
}
