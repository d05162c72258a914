//! What cut links, dead processes and dead machines do to connections, and what TCP does about it.
//!
//! A cut link loses what is on its way. The sending kernel keeps it and sends it again at TCP's growing
//! intervals; when nothing was acknowledged for the TCP timeout it gives up. A dead process leaves its
//! connections to its kernel, which closes them; a dead machine leaves its peers in the dark.

use std::io;
use std::task::Context;

use super::conns::ConnKey;
use super::flow::Item;
use super::kernel::Net;
use super::link::next_retransmission;
use super::timer::Event;
use crate::rules::{Rule, holds};
use crate::runtime::sim::effects;
use crate::runtime::sim::identity::{Identity, LINGER, NodeId};
use crate::runtime::sim::world::{self, Death};

/// When TCP sends again, after the way has become clear, what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendAgain {
    /// As the sender's retransmission timer says: it was lost.
    ByTimer,
    /// At once: it was only stuck.
    AtOnce,
}

impl Net {
    // -- the agenda -----------------------------------------------------------------------------------

    /// Performs every event that is due, and has the task of `cx` woken for the next.
    pub(super) fn perform_due(&mut self, cx: &Context<'_>) {
        while let Some(event) = self.agenda.pop_due(self.now()) {
            match event {
                Event::Inspect(key, from) => self.inspect(key, from),
                Event::Retransmit(key, from) => self.retransmit(key, from),
                Event::GiveUp(key, from) => self.give_up(key, from),
                Event::Opened(key) => self.opened(key),
                Event::Bury(life, death) => self.leave_connections(life, death),
            }
        }
        let now = self.now();
        self.agenda.wait(cx, now, &self.time);
    }

    fn inspect(&mut self, key: ConnKey, from: usize) {
        let now = self.now();
        let Some(conn) = self.conns.get(key) else { return };
        let flow = &mut conn.flows[from];
        if !conn.ends[1 - from].open {
            // Nobody answers for a machine without power; what comes to it is lost.
            let answered = world::is_powered(conn.ends[1 - from].owner.node);
            if flow.take_strays(now) && answered && conn.ends[from].open {
                self.send_reset(key, 1 - from);
            }
        } else if flow.has_arrived_reset(now) {
            // Who knows the end of the stream, and has not ended his own, has written in vain (Linux: CLOSE_WAIT).
            let writes_in_vain = flow.has_arrived_end(now) && !conn.flows[1 - from].fin_sent;
            let kind =
                if writes_in_vain { io::ErrorKind::BrokenPipe } else { io::ErrorKind::ConnectionReset };
            self.fail(key, 1 - from, kind);
        } else if from == 0 && flow.has_arrived_opening(now) {
            self.opening_arrived(key);
        }
    }

    fn retransmit(&mut self, key: ConnKey, from: usize) {
        let now = self.now();
        let Some(conn) = self.conns.get(key) else { return };
        if !conn.flows[from].forward_open {
            return;
        }
        let there = conn.flows[from].latency.draw(&mut self.draws);
        let held = conn.flows[from].held_bytes();
        let departure = self.depart(key, from, held);
        let conn = self.conns.of(key);
        let back = conn.flows[1 - from].latency.typical();
        let clear = conn.is_clear();
        let receiver_open = conn.ends[1 - from].open;
        let flow = &mut conn.flows[from];
        let released = flow.release(departure + there);
        if released.is_none() && flow.starving_since().is_some() && !receiver_open {
            // It had arrived, but its receiver is no more: what is sent again strays.
            self.send_item(key, from, Item::Stray);
            return;
        }
        let arrival = released.unwrap_or(now + there);
        if clear {
            flow.end_starvation(arrival + back);
            flow.release_updates(arrival + back);
            if let Some(update) = flow.next_update() {
                flow.writer.wake_at(update, now, &self.time);
            }
        }
        if let Some(arrival) = released {
            flow.reader.wake_at(arrival, now, &self.time);
            self.schedule(arrival, Event::Inspect(key, from));
        }
    }

    fn give_up(&mut self, key: ConnKey, from: usize) {
        let (now, timeout) = (self.now(), self.settings.tcp_timeout);
        let Some(conn) = self.conns.get(key) else { return };
        let Some(since) = conn.flows[from].starving_since() else { return };
        if since + timeout > now {
            // It starves anew, or the timeout was changed.
            self.schedule(since + timeout, Event::GiveUp(key, from));
        } else if self.conns.of(key).ends[from].open {
            self.stats.timed_out += 1;
            self.fail(key, from, io::ErrorKind::TimedOut);
        } else {
            // No process is left to be told; the kernel forgets what it still wanted to say.
            self.conns.of(key).flows[from].forget_held();
        }
    }

    /// The timeout was changed: each sender that starves now gives up when the new one says.
    pub(super) fn review_time_outs(&mut self) {
        for key in self.conns.keys() {
            for from in [0, 1] {
                if let Some(since) = self.conns.of(key).flows[from].starving_since() {
                    self.schedule(since + self.settings.tcp_timeout, Event::GiveUp(key, from));
                }
            }
        }
    }

    // -- links ----------------------------------------------------------------------------------------

    /// Applies what changed between two nodes to the connections between them.
    pub(super) fn refresh_between(&mut self, a: NodeId, b: NodeId) {
        for key in self.conns.between(a, b) {
            self.refresh(key);
        }
    }

    /// The bound of a link's bandwidth is lifted: what waited for its turn goes on its way at once.
    pub(super) fn lift_bandwidth(&mut self, from: NodeId, to: NodeId) {
        if !self.links.bottlenecks.lift(from, to) {
            return;
        }
        let now = self.now();
        for key in self.conns.between(from, to) {
            let conn = self.conns.of(key);
            let end = usize::from(conn.nodes(0) != (from, to));
            let arrival = now + conn.flows[end].latency.typical();
            let back = conn.flows[1 - end].latency.typical();
            let flow = &mut conn.flows[end];
            flow.hasten(arrival, arrival + back);
            flow.reader.wake_at(arrival, now, &self.time);
            flow.writer.wake();
            self.schedule(arrival, Event::Inspect(key, end));
        }
    }

    pub(super) fn refresh_all(&mut self) {
        for key in self.conns.keys() {
            self.refresh(key);
        }
    }

    /// Lets the connection's packets feel the present state of links and machines.
    pub(super) fn refresh(&mut self, key: ConnKey) {
        self.refresh_paths(key, SendAgain::ByTimer);
    }

    /// As [`Net::refresh`]; what was held goes on its way at once.
    pub(super) fn refresh_unstuck(&mut self, key: ConnKey) {
        self.refresh_paths(key, SendAgain::AtOnce);
    }

    fn refresh_paths(&mut self, key: ConnKey, again: SendAgain) {
        let now = self.now();
        let conn = self.conns.of(key);
        for from in [0, 1] {
            let (sender, receiver) = conn.nodes(from);
            let stuck = conn.blackholed || conn.stalled;
            let open = !stuck && !self.links.is_cut(sender, receiver) && world::is_powered(receiver);
            conn.flows[from].latency = self.links.latency(sender, receiver);
            if !open && conn.flows[from].forward_open {
                if conn.flows[from].hold(now) {
                    effects::held_up(sender, receiver);
                }
                conn.flows[1 - from].hold_updates(now);
            }
            conn.flows[from].forward_open = open;
        }
        let clear = conn.is_clear();
        for from in [0, 1] {
            let flow = &self.conns.of(key).flows[from];
            let waits = flow.is_unacknowledged(now) || flow.writer.is_waiting();
            if !clear && waits {
                self.starve(key, from);
            }
            let flow = &self.conns.of(key).flows[from];
            let since = flow.starving_since().or(flow.has_held_updates().then_some(now));
            if flow.forward_open
                && let Some(since) = since
            {
                let at = match again {
                    SendAgain::ByTimer => next_retransmission(since, now),
                    SendAgain::AtOnce => now,
                };
                self.schedule(at, Event::Retransmit(key, from));
            }
        }
    }

    // -- processes and machines -----------------------------------------------------------------------

    pub(super) fn on_birth(&mut self, node: NodeId) {
        // The machine has power again: its kernel, who knows none of the old connections, answers.
        self.refresh_of(node);
    }

    pub(super) fn on_death(&mut self, life: Identity, death: Death) {
        match death {
            Death::PowerFailure => self.power_failed(life.node),
            Death::Kill | Death::Exit => {
                for listener in self.listeners.of(life.node, Some(life)) {
                    self.close_listener(listener);
                }
            }
        }
        if holds(Rule::DeadIncarnationWritesNothing) {
            self.leave_connections(life, death);
        } else {
            // Until then the dead life sends what it likes.
            let at = self.now() + LINGER;
            self.schedule(at, Event::Bury(life, death));
        }
        if death == Death::PowerFailure {
            self.refresh_of(life.node);
        }
    }

    /// The machine forgets its listeners; of what was on its way out only the first may still arrive.
    fn power_failed(&mut self, node: NodeId) {
        let now = self.now();
        for listener in self.listeners.of(node, None) {
            self.listeners.forget(listener);
        }
        for (key, end) in self.ends_of(node) {
            let flow = &mut self.conns.of(key).flows[end];
            let survivors = self.draws.below(flow.in_flight(now) as u64 + 1) as usize;
            flow.lose_in_flight(now, survivors);
            flow.forget_held();
        }
    }

    /// What a life left open: the kernel closes it, or is dead itself and says nothing.
    fn leave_connections(&mut self, life: Identity, death: Death) {
        for (key, end) in self.ends_of(life.node) {
            let Some(conn) = self.conns.get(key).filter(|conn| conn.ends[end].owner == life) else {
                continue;
            };
            if end == 0 && !conn.established {
                self.discard(key);
            } else if death == Death::PowerFailure {
                self.leave(key, end);
            } else {
                self.close(key, end);
            }
        }
    }

    fn ends_of(&mut self, node: NodeId) -> Vec<(ConnKey, usize)> {
        let keys = self.conns.keys();
        let ends = keys.into_iter().flat_map(|key| [(key, 0), (key, 1)]);
        ends.filter(|(key, end)| self.conns.of(*key).ends[*end].owner.node == node).collect()
    }

    fn refresh_of(&mut self, node: NodeId) {
        for key in self.conns.keys() {
            let (a, b) = self.conns.of(key).nodes(0);
            if a == node || b == node {
                self.refresh(key);
            }
        }
    }
}
