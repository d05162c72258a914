//! What members of the group `billing` state, on `orders-0` where nothing else is said.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{Offset, SessionId, TopicPartition};

use super::{Story, orders};
use crate::checkers::{GroupTerms, Membership};
use crate::history::Injected;

const GROUP: &str = "billing";

fn group() -> String {
    GROUP.into()
}

impl Story {
    pub fn group_terms(mut self, session_timeout: Duration, processing: Duration) -> Story {
        self.terms
            .groups
            .insert(group(), GroupTerms { session_timeout, processing, ..GroupTerms::default() });
        self
    }

    pub fn committing_every(mut self, interval: Duration) -> Story {
        let terms = GroupTerms { auto_commit: Some(interval), ..GroupTerms::default() };
        self.terms.groups.insert(group(), terms);
        self
    }

    pub fn joined(self, consumer: &str, session: i64) -> Story {
        self.joined_with(consumer, session, 1)
    }

    pub fn joined_with(self, consumer: &str, session: i64, streams: u32) -> Story {
        let subscription = BTreeMap::from([("orders".to_owned(), streams)]);
        let fact = Fact::GroupJoined {
            group: group(),
            consumer: consumer.into(),
            session: SessionId(session),
            subscription,
        };
        self.fact(consumer, fact)
    }

    pub fn left(self, consumer: &str) -> Story {
        self.fact(consumer, Fact::GroupLeft { group: group(), consumer: consumer.into() })
    }

    pub fn session_lost(self, consumer: &str, session: i64) -> Story {
        let fact =
            Fact::GroupSessionLost { group: group(), consumer: consumer.into(), session: SessionId(session) };
        self.fact(consumer, fact)
    }

    pub fn session_expired(self, session: i64) -> Story {
        self.fact("zookeeper", Fact::SessionExpired { session: SessionId(session) })
    }

    /// The session ends while its member is heard.
    pub fn expired_by_force(self, member: &str, session: i64) -> Story {
        let fault = Injected::ExpireSession { target: member.into(), session: SessionId(session) };
        self.fault(fault).session_expired(session)
    }

    pub fn rebalancing(self, consumer: &str) -> Story {
        self.fact(consumer, Fact::RebalanceStarted { group: group(), consumer: consumer.into() })
    }

    pub fn rebalanced(self, consumer: &str, owned: u32) -> Story {
        self.fact(consumer, Fact::RebalanceFinished { group: group(), consumer: consumer.into(), owned })
    }

    pub fn owned(self, consumer: &str, session: i64) -> Story {
        self.owned_of(consumer, session, orders(), 0)
    }

    pub fn owned_of(self, consumer: &str, session: i64, partition: TopicPartition, stream: u32) -> Story {
        let consumer_name = consumer.into();
        let fact = Fact::PartitionOwned {
            group: group(),
            consumer: consumer_name,
            partition,
            stream,
            session: SessionId(session),
        };
        self.fact(consumer, fact)
    }

    pub fn released(self, consumer: &str) -> Story {
        self.released_of(consumer, orders())
    }

    pub fn released_of(self, consumer: &str, partition: TopicPartition) -> Story {
        let fact = Fact::PartitionReleased { group: group(), consumer: consumer.into(), partition };
        self.fact(consumer, fact)
    }

    pub fn delivery_paused(self, consumer: &str) -> Story {
        self.fact(consumer, Fact::DeliveryPaused { group: group(), consumer: consumer.into() })
    }

    /// `None`: the registry has nothing.
    pub fn fetched(self, consumer: &str, offset: Option<i64>) -> Story {
        let (partition, offset) = (orders(), offset.map(Offset));
        let fact = Fact::OffsetFetched { group: group(), consumer: consumer.into(), partition, offset };
        self.fact(consumer, fact)
    }

    /// Who is in the group once the cluster has healed.
    pub fn members_that_stay(mut self, names: &[&str]) -> Story {
        let members = names.iter().map(|name| (*name).to_owned()).collect();
        self.terms.memberships.insert(group(), Membership { members, ..Membership::default() });
        self
    }

    /// Joined, owning, and reading from `position`, which the registry holds.
    pub fn member(self, consumer: &str, session: i64, position: i64) -> Story {
        self.joined(consumer, session)
            .owned(consumer, session)
            .fetched(consumer, Some(position))
            .assigned(consumer, position)
    }

    pub fn finished(self, consumer: &str, offset: i64) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        self.fact(consumer, Fact::Finished { consumer: consumer.into(), partition, offset })
    }

    pub fn processed(self, consumer: &str, offset: i64) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        self.fact(consumer, Fact::Processed { consumer: consumer.into(), partition, offset })
    }

    /// Delivered and finished.
    pub fn worked_on(self, consumer: &str, offset: i64, value: &str) -> Story {
        self.read(consumer, offset, value).finished(consumer, offset)
    }

    pub fn committing(self, consumer: &str, offset: i64) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        let fact = Fact::CommitInvoked { group: group(), consumer: consumer.into(), partition, offset };
        self.fact(consumer, fact)
    }

    pub fn committed(self, consumer: &str, offset: i64) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        let fact = Fact::CommitOk { group: group(), consumer: consumer.into(), partition, offset };
        self.fact(consumer, fact)
    }

    /// Invoked and answered.
    pub fn commits(self, consumer: &str, offset: i64) -> Story {
        self.committing(consumer, offset).committed(consumer, offset)
    }

    pub fn commit_failed(self, consumer: &str, offset: i64, is_unknown: bool) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        let fact =
            Fact::CommitFailed { group: group(), consumer: consumer.into(), partition, offset, is_unknown };
        self.fact(consumer, fact)
    }

    pub fn sought(self, consumer: &str, position: i64) -> Story {
        let (partition, position) = (orders(), Offset(position));
        let reason = "sought by the application".into();
        self.fact(consumer, Fact::Seeked { consumer: consumer.into(), partition, position, reason })
    }

    /// The log is said to be `log.0..=log.1`.
    pub fn reset(self, consumer: &str, from: Option<i64>, to: i64, log: (i64, i64)) -> Story {
        let fact = Fact::PositionReset {
            consumer: consumer.into(),
            partition: orders(),
            from: from.map(Offset),
            to: Offset(to),
            log_start: Offset(log.0),
            log_end: Offset(log.1),
        };
        self.fact(consumer, fact)
    }

    pub fn skipped_corrupt(self, consumer: &str, offset: i64) -> Story {
        let (partition, offset) = (orders(), Offset(offset));
        self.fact(consumer, Fact::CorruptSkipped { consumer: consumer.into(), partition, offset })
    }

    /// The node is killed; what it states from now on is another incarnation's.
    pub fn killed(self, node: &str) -> Story {
        self.fault(Injected::Kill { target: node.into() }).next_incarnation(node)
    }
}
