//! What clients tell the testbed, and the other way round. Everything runs on the seed's one thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use seedlog::runtime::sim::effects;
use seedlog::runtime::{Instant, clock};
use seedlog::types::TopicPartition;
use tokio::sync::Notify;

/// The slate that the testbed and all clients of a run write on.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    /// Somebody was asked to leave.
    asked: Notify,
    /// A member began to rebalance.
    rebalances: Notify,
}

#[derive(Default)]
struct State {
    topics_made: bool,
    /// Topics whose maker was told that they are there, and when.
    made: BTreeMap<String, Instant>,
    /// When everybody must be served again.
    served_by: Option<Instant>,
    storm_begun: bool,
    storm_over: bool,
    finished: BTreeSet<String>,
    trouble: Vec<String>,
    leaving: BTreeSet<String>,
    /// How many times longer than planned a member works on a record.
    slowness: BTreeMap<String, u32>,
    /// How producers send that do not send at their usual rate.
    paces: BTreeMap<String, Pace>,
    /// Producers whose next record is of so many bytes.
    huge: BTreeMap<String, u64>,
    /// What the operator is to do wrong next.
    slips: VecDeque<Slip>,
    /// Mistakes that are not mended yet.
    slips_open: u32,
    /// The number of each producer's next record.
    numbers: BTreeMap<String, u64>,
}

/// How fast a producer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At its own rate.
    Usual,
    /// Nothing.
    Idle,
    /// As fast as it can.
    Burst,
    /// At its own rate, every record under one key.
    HotKey,
}

/// A slip of the operator's: what a group committed is no offset for a while.
#[derive(Clone, Debug)]
pub struct Slip {
    pub group: String,
    pub partition: TopicPartition,
    pub lasting: Duration,
}

/// Until every client has heard of a new topic, whatever it had asked just before.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// Troubles kept; the first ones tell.
const TROUBLES_MAX: usize = 20;

impl Shared {
    pub fn topics_made(&self) -> bool {
        self.state().topics_made
    }

    /// The storm begins.
    pub fn begin_storm(&self) {
        self.state().storm_begun = true;
    }

    /// The storm is over: clients end what nobody does who wants to get somewhere. Everybody is served after this long.
    pub fn end_storm(&self, served_within: Duration) {
        let mut state = self.state();
        state.storm_over = true;
        state.served_by = Some(clock::world_now() + served_within);
    }

    /// A member of a group begins to rebalance.
    pub fn rebalance_begins(&self) {
        self.rebalances.notify_waiters();
    }

    /// Waits until the next member begins to rebalance.
    pub(super) async fn next_rebalance(&self) {
        self.rebalances.notified().await;
    }

    pub(super) fn has_storm_begun(&self) -> bool {
        self.state().storm_begun
    }

    pub(super) fn is_storm_over(&self) -> bool {
        self.state().storm_over
    }

    /// Whether the client has handed over all that it was to.
    pub fn has_finished(&self, client: &str) -> bool {
        self.state().finished.contains(client)
    }

    /// What clients could not do; for the report.
    pub fn trouble(&self) -> Vec<String> {
        self.state().trouble.clone()
    }

    /// Asks a member to leave its group; its process ends after that. It forgets about it when it starts anew.
    pub fn ask_to_leave(&self, member: &str) {
        self.state().leaving.insert(member.to_owned());
        self.asked.notify_waiters();
    }

    /// From now on the member works `factor` times as long as planned on each record; 1 ends it.
    pub fn slow_down(&self, member: &str, factor: u32) {
        self.state().slowness.insert(member.to_owned(), factor);
    }

    /// Nobody is slower than planned any more.
    pub fn speed_up_all(&self) {
        self.state().slowness.clear();
    }

    /// The producer's next record has a value of so many bytes.
    pub fn make_huge(&self, producer: &str, bytes: u64) {
        self.state().huge.insert(producer.to_owned(), bytes);
    }

    /// The operator makes this mistake next.
    pub fn slip(&self, slip: Slip) {
        let mut state = self.state();
        state.slips.push_back(slip);
        state.slips_open += 1;
    }

    /// Whether a mistake is still to be made, or mended.
    pub fn is_tinkering(&self) -> bool {
        self.state().slips_open > 0
    }

    /// One is mended, and who had to come back is there.
    pub(super) fn slip_is_over(&self) {
        self.state().slips_open -= 1;
    }

    /// Whether somebody of these was asked to leave and has not come back.
    pub(super) fn is_any_away(&self, members: &[String]) -> bool {
        let state = self.state();
        members.iter().any(|member| state.leaving.contains(member))
    }

    pub(super) fn take_slip(&self) -> Option<Slip> {
        self.state().slips.pop_front()
    }

    pub(super) fn take_huge(&self, producer: &str) -> Option<u64> {
        let bytes = self.state().huge.remove(producer);
        if bytes.is_some() {
            effects::struck_here("huge-record");
        }
        bytes
    }

    /// How fast the producer sends from now on.
    pub fn set_pace(&self, producer: &str, pace: Pace) {
        self.state().paces.insert(producer.to_owned(), pace);
    }

    pub(super) fn pace(&self, producer: &str) -> Pace {
        self.state().paces.get(producer).copied().unwrap_or(Pace::Usual)
    }

    /// The number of the producer's next record, below `limit`; no other incarnation of it gets the same.
    pub(super) fn take_number(&self, producer: &str, limit: u64) -> Option<u64> {
        let mut state = self.state();
        let next = state.numbers.entry(producer.to_owned()).or_default();
        let number = *next;
        *next += 1;
        (number < limit).then_some(number)
    }

    pub(super) fn set_made(&self, topic: &str) {
        self.state().made.entry(topic.to_owned()).or_insert_with(clock::world_now);
    }

    /// Whether a producer has no reason any more to refuse a record for the topic: everybody must be served by now, and
    /// know the topic.
    pub(super) fn must_take(&self, topic: &str) -> bool {
        let state = self.state();
        let is_known = state.made.get(topic).is_some_and(|made| clock::world_now() > *made + KNOWN_WITHIN);
        is_known && state.served_by.is_some_and(|served_by| clock::world_now() > served_by)
    }

    pub(super) fn set_topics_made(&self) {
        self.state().topics_made = true;
    }

    pub(super) fn finish(&self, client: &str) {
        self.state().finished.insert(client.to_owned());
    }

    pub(crate) fn report(&self, trouble: String) {
        let mut state = self.state();
        if state.trouble.len() < TROUBLES_MAX {
            state.trouble.push(trouble);
        }
    }

    /// A member's process begins: what its earlier incarnation was asked no longer counts.
    pub(crate) fn begin(&self, member: &str) {
        self.state().leaving.remove(member);
    }

    /// Waits until the member is asked to leave.
    pub(crate) async fn asked_to_leave(&self, member: &str) {
        loop {
            let asked = self.asked.notified();
            if self.state().leaving.contains(member) {
                return;
            }
            asked.await;
        }
    }

    pub(crate) fn slowness(&self, member: &str) -> u32 {
        self.state().slowness.get(member).copied().unwrap_or(1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never held over a panic")
    }
}
