//! The topics that a client asks about, and why: for good, while somebody looks for them, or because they were used
//! lately.
//!
//! Pure: uses and the time in, topics that are asked about no more out. Asking is `cluster`'s.
//!
//! Bound: as many as are kept for good, as exist and were used within the idle limit, and as are looked for at once. A
//! name that does not exist is forgotten when the last one who looked for it gives up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::types::Instant;

/// Why one topic is asked about.
#[derive(Debug, Default)]
struct Interest {
    is_for_good: bool,
    /// How many look for it right now.
    seekers: usize,
    used: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    topics: BTreeMap<Arc<str>, Interest>,
}

impl Tracked {
    /// Keeps a topic for good.
    pub(super) fn keep(&mut self, topic: &Arc<str>) {
        self.interest(topic).is_for_good = true;
    }

    /// Keeps these for good, and no others.
    pub(super) fn keep_only(&mut self, topics: BTreeSet<Arc<str>>) {
        self.topics.retain(|topic, _| topics.contains(topic));
        for topic in &topics {
            self.keep(topic);
        }
    }

    /// Somebody looks for a topic, until [`Tracked::seek_ended`].
    pub(super) fn seek(&mut self, topic: &Arc<str>, now: Instant) {
        let interest = self.interest(topic);
        interest.seekers += 1;
        interest.used = now;
    }

    /// Somebody looks for it no more. Whether the topic is forgotten with that.
    pub(super) fn seek_ended(&mut self, topic: &str, was_found: bool) -> bool {
        let Some(interest) = self.topics.get_mut(topic) else { return false };
        interest.seekers = interest.seekers.saturating_sub(1);
        let is_forgotten = interest.seekers == 0 && !interest.is_for_good && !was_found;
        if is_forgotten {
            self.topics.remove(topic);
        }
        is_forgotten
    }

    /// Asks about a topic for as long again.
    pub(super) fn used(&mut self, topic: &Arc<str>, now: Instant) {
        self.interest(topic).used = now;
    }

    /// As above for one that is asked about; others stay forgotten.
    pub(super) fn used_again(&mut self, topic: &str, now: Instant) {
        if let Some(interest) = self.topics.get_mut(topic) {
            interest.used = now;
        }
    }

    /// Forgets what nobody has used for `idle_max`, and tells what that was.
    pub(super) fn forget_idle(&mut self, now: Instant, idle_max: Duration) -> Vec<Arc<str>> {
        let mut forgotten = Vec::new();
        self.topics.retain(|topic, interest| {
            let is_wanted = interest.is_for_good || interest.seekers > 0;
            let is_kept = is_wanted || now.saturating_since(interest.used) < idle_max;
            if !is_kept {
                forgotten.push(Arc::clone(topic));
            }
            is_kept
        });
        forgotten
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    fn interest(&mut self, topic: &Arc<str>) -> &mut Interest {
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), Interest::default());
        }
        self.topics.get_mut(topic).expect("there, or inserted just above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_MAX: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn names(tracked: &Tracked) -> Vec<String> {
        tracked.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_do_not_exist_are_forgotten_with_the_last_one_who_looks_for_them() {
        let mut tracked = Tracked::default();
        for number in 0..1_000 {
            let wrong: Arc<str> = format!("wrong-{number}").into();
            tracked.seek(&wrong, at(0));
            tracked.seek(&wrong, at(0));
            assert!(!tracked.seek_ended(&wrong, false), "another one looks for it");
            assert!(tracked.seek_ended(&wrong, false));
        }
        assert!(tracked.is_empty());
    }

    #[test]
    fn a_topic_that_was_found_is_forgotten_when_it_was_not_used_for_the_idle_limit() {
        let mut tracked = Tracked::default();
        let orders: Arc<str> = "orders".into();
        tracked.seek(&orders, at(0));
        assert!(!tracked.seek_ended("orders", true));
        tracked.used_again("orders", at(100));
        assert_eq!(tracked.forget_idle(at(399), IDLE_MAX), Vec::<Arc<str>>::new());
        assert_eq!(tracked.forget_idle(at(400), IDLE_MAX), [orders]);
        tracked.used_again("orders", at(400));
        assert!(tracked.is_empty(), "a use alone does not look for it again");
    }

    #[test]
    fn what_is_kept_for_good_or_looked_for_is_never_idle() {
        let mut tracked = Tracked::default();
        tracked.keep(&"kept".into());
        tracked.seek(&"sought".into(), at(0));
        tracked.used(&"waited-for".into(), at(1_000));
        assert_eq!(tracked.forget_idle(at(1_000), IDLE_MAX), Vec::<Arc<str>>::new());
        assert_eq!(names(&tracked), ["kept", "sought", "waited-for"]);
        tracked.keep_only(BTreeSet::from(["other".into()]));
        assert!(!tracked.seek_ended("sought", false), "it is gone already");
        assert_eq!(names(&tracked), ["other"]);
    }
}
