//! S9, `leader-epochs`: a partition's leader epoch never falls, and one incarnation of one broker appends in each, for as
//! long as one session of its lasts: it raises its epochs before it registers again.
//!
//! Nothing excuses that: a broker takes an epoch from ZooKeeper, where each is given out once, before it appends.
//!
//! What the disk holds in the end is held to what was stated: each batch says the epoch in which its offsets were appended,
//! and no batch a lower one than the batch in front. Its CRC does not cover its epoch, so damage to what stands excuses it.

mod stored;

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{LeaderEpoch, SessionId, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, What};

pub const CHECK: Check = Check::new("S9", "leader-epochs", Feature::Any, judge);

/// The latest epoch of a partition, and who appended in it first.
#[derive(Clone, Copy)]
struct Latest<'a> {
    epoch: LeaderEpoch,
    by: (&'a str, u32),
    at: usize,
}

/// The epochs of sessions that expired.
#[derive(Default)]
struct Outdated<'a> {
    /// The incarnation that is registered under a session.
    registered: BTreeMap<SessionId, (&'a str, u32)>,
    /// Until it registers again, a broker goes on in what it had: where its session expired.
    expired: BTreeMap<(&'a str, u32), usize>,
    /// What each incarnation may append in no longer.
    over: BTreeMap<(&'a str, u32, &'a TopicPartition), LeaderEpoch>,
}

impl<'a> Outdated<'a> {
    fn observe(&mut self, at: usize, entry: &'a Entry, latest: &BTreeMap<&'a TopicPartition, Latest<'a>>) {
        match &entry.what {
            What::Fact(Fact::BrokerRegistered { session, .. }) => {
                let appender = appender(entry);
                if let Some(expired_at) = self.expired.remove(&appender) {
                    let own =
                        latest.iter().filter(|(_, latest)| latest.by == appender && latest.at < expired_at);
                    self.over
                        .extend(own.map(|(name, latest)| ((appender.0, appender.1, *name), latest.epoch)));
                }
                self.registered.insert(*session, appender);
            }
            What::Fact(Fact::SessionExpired { session }) => {
                if let Some(appender) = self.registered.remove(session) {
                    self.expired.insert(appender, at);
                }
            }
            _ => {}
        }
    }

    fn is_over(
        &self,
        (node, life): (&'a str, u32),
        partition: &'a TopicPartition,
        epoch: LeaderEpoch,
    ) -> bool {
        self.over.get(&(node, life, partition)).is_some_and(|over| epoch <= *over)
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut latest: BTreeMap<&TopicPartition, Latest> = BTreeMap::new();
    let mut outdated = Outdated::default();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        outdated.observe(at, entry, &latest);
        let What::Fact(Fact::Appended { partition, epoch, .. }) = &entry.what else { continue };
        let new = Latest { epoch: *epoch, by: appender(entry), at };
        let is_another = latest.get(partition).is_some_and(|before| before.by != new.by);
        case.obligations.meet_many(u64::from(is_another));
        if outdated.is_over(new.by, partition, *epoch) {
            outdated.over.remove(&(new.by.0, new.by.1, partition));
            let message = format!(
                "{partition}: {} registered again and goes on in epoch {epoch}, which it had in a session that expired",
                new.by.0
            );
            findings.push(Finding::new(Some(partition), message, vec![at]));
        }
        match latest.get(partition) {
            Some(before) if before.epoch > *epoch => {
                let message =
                    format!("{partition}: epoch {epoch} was appended in after epoch {}", before.epoch);
                findings.push(Finding::new(Some(partition), message, vec![before.at, at]));
            }
            Some(before) if before.epoch == *epoch && before.by != new.by => {
                let ((one, life), (other, other_life)) = (before.by, new.by);
                let message = format!(
                    "{partition}: incarnation {life} of {one} and incarnation {other_life} of {other} appended in epoch {epoch}"
                );
                findings.push(Finding::new(Some(partition), message, vec![before.at, at]));
            }
            Some(before) if before.epoch == *epoch => {}
            _ => drop(latest.insert(partition, new)),
        }
    }
    findings.extend(stored::findings(case));
    findings
}

fn appender(entry: &Entry) -> (&str, u32) {
    (&entry.node, entry.incarnation)
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;
    use seedlog::types::{BrokerId, SessionId};

    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn an_incarnation_that_appends_in_an_epoch_of_its_own_passes() {
        let story =
            Story::new().appended_in(3, 0, 4).appended_in(3, 5, 5).killed("broker-1").appended_in(4, 6, 6);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn two_incarnations_in_one_epoch_are_found() {
        let story = Story::new().appended_in(3, 0, 4).killed("broker-1").appended_in(3, 5, 5);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0: incarnation 1 of broker-1 and incarnation 2 of broker-1 appended in epoch 3"]
        );
    }

    #[test]
    fn an_epoch_of_a_session_that_expired_is_found() {
        let registered = |story: Story, session: i64| {
            let (broker, session) = (BrokerId(1), SessionId(session));
            story.fact("broker-1", Fact::BrokerRegistered { broker, session })
        };
        let lost =
            || registered(Story::new(), 1).appended_in(3, 0, 4).session_expired(1).appended_in(3, 5, 5);
        assert!(lost().violations(&CHECK).is_empty(), "until it registers again");
        assert!(
            registered(lost().appended_in(4, 6, 6), 2).appended_in(4, 7, 7).violations(&CHECK).is_empty()
        );
        assert_eq!(
            registered(lost(), 2).appended_in(3, 6, 6).appended_in(3, 7, 7).violations(&CHECK),
            [
                "orders-0: broker-1 registered again and goes on in epoch 3, which it had in a session that expired"
            ]
        );
    }

    #[test]
    fn an_epoch_that_falls_is_found() {
        let story = Story::new().appended_in(3, 0, 4).killed("broker-1").appended_in(2, 5, 5);
        assert_eq!(story.violations(&CHECK), ["orders-0: epoch 2 was appended in after epoch 3"]);
    }
}
