//! H25, `wrong-reply`: a client that looks at every field was answered what no broker, or no library, may answer.
//!
//! The client says what is wrong. What it says of stored bytes is excused where these were damaged.

use seedlog::facts::Fact;

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H25", "wrong-reply", Feature::RawClient, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let of_raw_client = |send: &&Send| case.terms.producers.get(send.producer).is_some_and(|p| p.is_wire);
    let answered = case.ledger.sends.iter().filter(of_raw_client);
    let answered =
        answered.filter(|send| matches!(send.outcome, Outcome::Ok { .. } | Outcome::Failed { .. }));
    case.obligations.meet_many(answered.count() as u64);
    let wrong = case.history.iter().enumerate().filter_map(|(at, entry)| {
        let What::Fact(Fact::WrongReply { client, partition, reason }) = &entry.what else { return None };
        let finding = Finding::new(partition.as_ref(), format!("{client}: {reason}"), vec![at]);
        let excuse = partition.as_ref().and_then(|partition| case.budget.excuses_damage_somewhere(partition));
        Some(finding.excused_by(excuse))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn wrong_bytes() -> Fact {
        let reason = "nothing is returned".into();
        Fact::WrongReply { client: "scanner".into(), partition: Some(orders()), reason }
    }

    #[test]
    fn answers_to_a_client_that_looks_at_every_field_count_and_others_do_not() {
        let story = Story::new().send(0, "a").acked(0, 0).send(1, "b").unknown(1);
        assert_eq!(story.met(&CHECK), 0);
        assert_eq!(story.speaking_the_bare_protocol().met(&CHECK), 1);
    }

    #[test]
    fn what_a_client_complains_of_is_found() {
        let reason = "the correlation id of the reply to Produce is 3 and not 2".into();
        let wrong = Fact::WrongReply { client: "scanner".into(), partition: None, reason };
        assert_eq!(
            Story::new().fact("scanner", wrong).violations(&CHECK),
            ["scanner: the correlation id of the reply to Produce is 3 and not 2"]
        );
        assert_eq!(Story::new().fact("scanner", wrong_bytes()).violations(&CHECK).len(), 1);
    }

    #[test]
    fn wrong_bytes_are_excused_where_the_disk_damaged_them() {
        let story = Story::new().damaged("flip-bit", 3, Some(4)).fact("scanner", wrong_bytes());
        assert!(story.violations(&CHECK).is_empty());
    }
}
