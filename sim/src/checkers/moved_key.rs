//! H24, `moved-key`: a producer sends records with one key to two partitions of a topic, or any record to one that the topic
//! does not have.
//!
//! Whoever reads one partition then misses some of what happened to that key. Nothing excuses it: topics keep their
//! number of partitions here, and a producer that chooses partitions in another way is not
//! asked.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::TopicPartition;

use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H24", "moved-key", Feature::Keys, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut places: BTreeMap<(&str, u32), (&TopicPartition, usize)> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(Fact::SendInvoked { producer, partition, record, .. }) = &entry.what else { continue };
        let topic = case.terms.topics.get(&partition.topic);
        if topic.is_some_and(|topic| !(0..i64::from(topic.partitions)).contains(&partition.partition.into()))
        {
            let message = format!("{:?} was sent to {partition}, which there is not", record.label);
            findings.push(Finding::new(Some(partition), message, vec![at]));
            continue;
        }
        let follows_keys = case.terms.producers.get(producer).is_some_and(|producer| producer.follows_keys);
        if record.key == 0 || !follows_keys {
            continue;
        }
        let (first, sent) = *places.entry((&partition.topic, record.key)).or_insert((partition, at));
        case.obligations.meet_many(u64::from(sent != at));
        if first != partition {
            let message = format!(
                "{:?} was sent to {partition} and another record with its key to {first}",
                record.label
            );
            findings.push(Finding::new(Some(partition), message, vec![sent, at]));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::facts::{Fact, RecordTag};
    use seedlog::types::{Acks, TopicPartition};

    use super::CHECK;
    use crate::checkers::story::Story;

    fn sent(seq: u64, key: Option<&[u8]>, partition: i32) -> Fact {
        let record = RecordTag::of(key, Some(b"r"));
        let partition = TopicPartition::new("orders", partition);
        Fact::SendInvoked { producer: "shop".into(), seq, partition, record, acks: Acks::All }
    }

    #[test]
    fn a_partition_that_there_is_not_is_found() {
        for partition in [-1, 4, i32::MAX] {
            let story = Story::new().fact("shop", sent(0, None, partition));
            assert_eq!(story.violations(&CHECK).len(), 1, "{partition}");
        }
    }

    #[test]
    fn a_key_that_stays_and_records_without_one_pass() {
        let story = Story::new()
            .fact("shop", sent(0, Some(b"k"), 1))
            .fact("shop", sent(1, None, 0))
            .fact("shop", sent(2, None, 2))
            .fact("shop", sent(3, Some(b"k"), 1));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn a_producer_that_does_not_go_by_the_key_is_not_asked() {
        let sends =
            |story: Story| story.fact("shop", sent(0, Some(b"k"), 1)).fact("shop", sent(1, Some(b"k"), 0));
        assert!(sends(Story::new().spreading_keys()).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_key_in_two_partitions_is_found() {
        let story = Story::new().fact("shop", sent(0, Some(b"k"), 1)).fact("shop", sent(1, Some(b"k"), 0));
        assert_eq!(
            story.violations(&CHECK),
            ["\"r\" was sent to orders-0 and another record with its key to orders-1"]
        );
    }
}
