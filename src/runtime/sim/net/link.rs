//! Links between machines: how long a segment takes, how much they carry, and which directions are cut.
//!
//! Pure: a link does not know what travels on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bandwidth::Bottlenecks;
use crate::runtime::Instant;
use crate::runtime::random::Rng;
use crate::runtime::sim::identity::NodeId;
use crate::runtime::sim::rng;
use crate::runtime::sim::trace::mix;

/// How long segments travel on one directed link: `floor`, and on top an exponentially distributed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLatency {
    pub floor: Duration,
    /// Mean of the part above the floor; the part is cut at about 8 means.
    pub mean: Duration,
}

impl LinkLatency {
    /// Between processes of one machine.
    const LOOPBACK: LinkLatency =
        LinkLatency { floor: Duration::from_micros(5), mean: Duration::from_micros(10) };

    /// The latency of one segment.
    pub(super) fn draw(self, draws: &mut Rng) -> Duration {
        self.floor + Duration::from_nanos(draws.exponential(self.mean.as_nanos() as u64))
    }

    /// What a segment takes on average: for what is not worth a draw.
    pub(super) fn typical(self) -> Duration {
        self.floor + self.mean
    }

    /// What the seed says about a link nobody has set: a quiet local network.
    fn of_seed(seed_word: u64, from: NodeId, to: NodeId) -> LinkLatency {
        let mut draws = Rng::from_seed_u64(mix(mix(seed_word, u64::from(from.0)), u64::from(to.0)));
        LinkLatency {
            floor: Duration::from_micros(draws.between(30, 300)),
            mean: Duration::from_micros(draws.between(10, 400)),
        }
    }
}

/// How a machine treats those who want to connect to it. Connections that stand are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialing {
    /// As though nobody listened.
    Refused,
    /// No answer: whoever connects runs into a timeout.
    Unanswered,
    /// The process gets to accept so much later.
    Late(Duration),
}

/// Every directed link's state.
pub(super) struct Links {
    seed_word: u64,
    dialing: BTreeMap<NodeId, Dialing>,
    default: Option<LinkLatency>,
    latencies: BTreeMap<(NodeId, NodeId), LinkLatency>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    pub(super) bottlenecks: Bottlenecks,
}

impl Links {
    pub(super) fn new() -> Links {
        Links {
            seed_word: rng::seed_word("net-links"),
            dialing: BTreeMap::new(),
            default: None,
            latencies: BTreeMap::new(),
            cuts: BTreeSet::new(),
            bottlenecks: Bottlenecks::default(),
        }
    }

    pub(super) fn latency(&self, from: NodeId, to: NodeId) -> LinkLatency {
        if from == to {
            return LinkLatency::LOOPBACK;
        }
        let set = self.latencies.get(&(from, to)).copied().or(self.default);
        set.unwrap_or_else(|| LinkLatency::of_seed(self.seed_word, from, to))
    }

    pub(super) fn set_latency(&mut self, from: NodeId, to: NodeId, latency: LinkLatency) {
        self.latencies.insert((from, to), latency);
    }

    /// Sets the latency of every link that has none of its own; `None` is the seed's choice again.
    pub(super) fn set_default_latency(&mut self, latency: Option<LinkLatency>) {
        self.default = latency;
    }

    /// Whether something makes what is sent take longer than usual.
    pub(super) fn is_slowed(&self, from: NodeId, to: NodeId) -> bool {
        self.latencies.contains_key(&(from, to)) || !self.bottlenecks.is_none()
    }

    /// Gives one link the latency that it has without being set.
    pub(super) fn forget_latency(&mut self, from: NodeId, to: NodeId) {
        self.latencies.remove(&(from, to));
    }

    /// How `node` treats those who connect to it, unless it does so as usual.
    pub(super) fn dialing(&self, node: NodeId) -> Option<Dialing> {
        self.dialing.get(&node).copied()
    }

    pub(super) fn set_dialing(&mut self, node: NodeId, dialing: Option<Dialing>) {
        match dialing {
            Some(dialing) => self.dialing.insert(node, dialing),
            None => self.dialing.remove(&node),
        };
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.is_empty() && self.cuts.contains(&(from, to))
    }

    /// Whether this changed anything. A machine always reaches itself.
    pub(super) fn cut(&mut self, from: NodeId, to: NodeId) -> bool {
        from != to && self.cuts.insert((from, to))
    }

    pub(super) fn heal(&mut self, from: NodeId, to: NodeId) -> bool {
        self.cuts.remove(&(from, to))
    }

    pub(super) fn heal_all(&mut self) -> bool {
        !std::mem::take(&mut self.cuts).is_empty()
    }

    pub(super) fn cuts(&self) -> Vec<(NodeId, NodeId)> {
        self.cuts.iter().copied().collect()
    }
}

/// The first wait of TCP before it sends unacknowledged data again; each further wait doubles.
const RETRANSMISSION_FIRST: Duration = Duration::from_millis(200);
const RETRANSMISSION_WAIT_MAX: Duration = Duration::from_secs(120);

/// When TCP next sends again what has not been acknowledged since `since`, at `now` or later.
pub(super) fn next_retransmission(since: Instant, now: Instant) -> Instant {
    let mut wait = RETRANSMISSION_FIRST;
    let mut at = since + wait;
    while at < now {
        wait = (wait * 2).min(RETRANSMISSION_WAIT_MAX);
        at = at + wait;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::START + Duration::from_millis(ms)
    }

    #[test]
    fn retransmission_waits_double() {
        assert_eq!(next_retransmission(ms(1000), ms(1000)), ms(1200));
        assert_eq!(next_retransmission(ms(1000), ms(1200)), ms(1200));
        assert_eq!(next_retransmission(ms(1000), ms(1201)), ms(1600));
        assert_eq!(next_retransmission(ms(1000), ms(9_000)), ms(1000 + 200 + 400 + 800 + 1600 + 3200 + 6400));
    }

    #[test]
    fn each_direction_has_a_latency_of_its_own() {
        let mut links = Links::new();
        let (a, b) = (NodeId(1), NodeId(2));
        assert_ne!(links.latency(a, b), links.latency(b, a));
        let slow = LinkLatency { floor: Duration::from_secs(1), mean: Duration::ZERO };
        links.set_latency(a, b, slow);
        assert_eq!(links.latency(a, b), slow);
        assert_ne!(links.latency(b, a), slow);
        assert_eq!(slow.draw(&mut Rng::from_seed_u64(1)), Duration::from_secs(1));
    }

    #[test]
    fn a_machine_cannot_be_cut_from_itself() {
        let mut links = Links::new();
        assert!(!links.cut(NodeId(1), NodeId(1)));
        assert!(links.cut(NodeId(1), NodeId(2)));
        assert!(links.is_cut(NodeId(1), NodeId(2)) && !links.is_cut(NodeId(2), NodeId(1)));
    }
}
