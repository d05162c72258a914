//! H21, `unfinished-flush`: `flush` or `close` of a producer returned while a record had not met its fate.
//!
//! Nothing excuses it: the producer knows what it took.

use std::collections::BTreeMap;

use seedlog::facts::Fact;

use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H21", "unfinished-flush", Feature::Any, judge);

/// Sends without a fate, by number, and where they were invoked.
type Open = BTreeMap<u64, usize>;

fn judge(case: &Case) -> Vec<Finding> {
    let mut open: BTreeMap<&str, Open> = BTreeMap::new();
    let mut lives: BTreeMap<&str, u32> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        if lives.insert(&entry.node, entry.incarnation).is_some_and(|before| before != entry.incarnation) {
            open.remove(&*entry.node);
        }
        let of_node = open.entry(&entry.node).or_default();
        match fact {
            Fact::SendInvoked { seq, .. } => drop(of_node.insert(*seq, at)),
            Fact::SendOk { seq, .. } | Fact::SendFailed { seq, .. } | Fact::SendUnknown { seq, .. } => {
                of_node.remove(seq);
            }
            Fact::FlushReturned { producer } | Fact::ProducerClosed { producer } => {
                case.obligations.meet();
                if let Some((seq, invoked)) = of_node.first_key_value() {
                    let message = format!(
                        "{} returned to {producer} though send {seq} had not met its fate",
                        if matches!(fact, Fact::FlushReturned { .. }) { "flush" } else { "close" }
                    );
                    findings.push(Finding::new(None, message, vec![*invoked, at]));
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;

    use super::CHECK;
    use crate::checkers::story::Story;

    fn flushed(story: Story) -> Story {
        story.flush_returned()
    }

    #[test]
    fn a_flush_after_every_fate_passes() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 0).unknown(1);
        assert!(flushed(story).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_flush_that_waits_for_the_first_record_only_is_found() {
        let story = flushed(Story::new().send(0, "r-0").send(1, "r-1").acked(0, 0)).acked(1, 1);
        assert_eq!(story.violations(&CHECK), ["flush returned to shop though send 1 had not met its fate"]);
    }

    #[test]
    fn what_an_earlier_process_had_sent_is_not_this_ones_to_wait_for() {
        let story = Story::new().send(0, "r-0").killed("shop").send(0, "r-1").acked(0, 1);
        assert!(flushed(story).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_close_that_forgets_a_record_is_found() {
        let closed = Fact::ProducerClosed { producer: "shop".into() };
        let story = Story::new().send(0, "r-0").fact("shop", closed);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }
}
