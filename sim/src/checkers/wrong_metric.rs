//! H28, `wrong-metric`: a broker's page of metrics says what it was at no time since the page was asked for.
//!
//! Between the question and the answer a log may have grown: every end that it had meanwhile is right.

use std::collections::{BTreeMap, HashMap};

use seedlog::facts::{Appends, Fact, LogEnds};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, Injected, What, broker_of_node};

pub const CHECK: Check = Check::new("H28", "wrong-metric", Feature::Any, judge);

/// What the present process of a broker has.
#[derive(Clone, Default)]
struct Process<'a> {
    incarnation: u32,
    logs: HashMap<&'a TopicPartition, Log>,
    /// By topic.
    appended: HashMap<&'a str, Appends>,
    /// Some of its logs are closed.
    has_failed: bool,
}

#[derive(Clone, Copy)]
struct Log {
    start: Offset,
    /// The lowest since somebody asked.
    low: Offset,
    end: Offset,
    /// Somebody was given everything below, and it was there.
    read: Offset,
}

/// As it was when somebody asked.
struct Asked<'a> {
    at: usize,
    broker: BrokerId,
    then: Process<'a>,
}

#[derive(Default)]
struct Watch<'a> {
    processes: HashMap<BrokerId, Process<'a>>,
    /// By client.
    asked: HashMap<&'a str, Asked<'a>>,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut watch = Watch::default();
    for (at, entry) in case.history.iter().enumerate() {
        let fact = match &entry.what {
            What::Fact(fact) => fact,
            What::Fault(Injected::Start { target }) => {
                watch.start(target);
                continue;
            }
            _ => continue,
        };
        watch.take(entry, fact);
        match fact {
            Fact::Delivered { partition, offset, .. } => watch.given(partition, *offset),
            Fact::MetricsAsked { client, broker } => watch.begin(at, client, *broker),
            Fact::MetricsRead { client, broker, logs, appended } => {
                if let Some(asked) =
                    watch.asked.remove(client.as_str()).filter(|asked| asked.broker == *broker)
                {
                    watch.judge(case, at, &asked, logs, appended);
                }
            }
            _ => {}
        }
    }
    watch.findings
}

impl<'a> Watch<'a> {
    /// A process that has stated nothing yet has opened no log.
    fn start(&mut self, target: &str) {
        if let Some(broker) = broker_of_node(target) {
            self.processes.remove(&broker);
        }
    }

    /// What somebody is given is readable for everybody from then on.
    fn given(&mut self, partition: &TopicPartition, offset: Offset) {
        for process in self.processes.values_mut() {
            if let Some(log) = process.logs.get_mut(partition) {
                log.read = log.read.max(offset.next().min(log.end));
            }
        }
    }

    fn take(&mut self, entry: &'a Entry, fact: &'a Fact) {
        let Some(broker) = broker_of_node(&entry.node) else { return };
        let process = self.processes.entry(broker).or_default();
        if process.incarnation != entry.incarnation {
            *process = Process { incarnation: entry.incarnation, ..Process::default() };
        }
        match fact {
            Fact::LogRecovered { partition, log_start, log_end, .. } => {
                process.logs.insert(
                    partition,
                    Log { start: *log_start, low: *log_end, end: *log_end, read: *log_start },
                );
            }
            Fact::Appended { partition, base, last, .. } => {
                let appended = process.appended.entry(&*partition.topic).or_default();
                appended.batches += 1;
                appended.records += (last.0 - base.0 + 1) as u64;
                if let Some(log) = process.logs.get_mut(partition) {
                    log.end = Offset(last.0 + 1);
                }
            }
            Fact::Truncated { partition, end, .. } => {
                if let Some(log) = process.logs.get_mut(partition) {
                    log.end = *end;
                    log.low = log.low.min(*end);
                    log.read = log.read.min(*end);
                }
            }
            Fact::LogDirFailed { .. } => process.has_failed = true,
            _ => {}
        }
    }

    fn begin(&mut self, at: usize, client: &'a str, broker: BrokerId) {
        let process = self.processes.entry(broker).or_default();
        for log in process.logs.values_mut() {
            log.low = log.end;
        }
        self.asked.insert(client, Asked { at, broker, then: process.clone() });
    }

    fn judge(
        &mut self,
        case: &Case,
        at: usize,
        asked: &Asked<'a>,
        told: &'a [LogEnds],
        appended: &BTreeMap<String, Appends>,
    ) {
        let Some(now) = self.processes.get(&asked.broker) else { return };
        if now.incarnation != asked.then.incarnation || now.has_failed {
            return;
        }
        let mut findings = Vec::new();
        let mut find = |partition: Option<&TopicPartition>, message: String| {
            let message = format!("broker {}'s metrics: {message}", asked.broker);
            findings.push(Finding::new(partition, message, vec![asked.at, at]));
        };
        for log in told {
            case.obligations.meet();
            let read = asked.then.logs.get(&log.partition).map_or(Offset::ZERO, |then| then.read);
            let known = now.logs.get(&log.partition);
            if let Some(wrong) = known.and_then(|known| known.what_is_wrong_in(log, read)) {
                find(Some(&log.partition), format!("{} {wrong}", log.partition));
            }
        }
        for partition in
            asked.then.logs.keys().filter(|known| !told.iter().any(|log| log.partition == ***known))
        {
            find(Some(partition), format!("nothing of {partition}, which is open"));
        }
        let kept_quiet = asked.then.appended.keys().filter(|topic| !appended.contains_key(**topic));
        for topic in kept_quiet {
            find(None, format!("nothing of {topic}, which was appended to"));
        }
        for (topic, told) in appended {
            let low = asked.then.appended.get(topic.as_str()).copied().unwrap_or_default();
            let high = now.appended.get(topic.as_str()).copied().unwrap_or_default();
            let of_it = [
                ("records", told.records, low.records..=high.records),
                ("batches", told.batches, low.batches..=high.batches),
            ];
            for (what, number, range) in of_it {
                if !range.contains(&number) {
                    let (low, high) = range.into_inner();
                    find(None, format!("{number} {what} appended to {topic}, of {low} to {high}"));
                }
            }
        }
        findings.sort_by(|one, other| one.message.cmp(&other.message));
        self.findings.extend(findings);
    }
}

impl Log {
    /// `read`: what had been given to somebody when the page was asked for.
    fn what_is_wrong_in(&self, told: &LogEnds, read: Offset) -> Option<String> {
        let LogEnds { start, readable, end, .. } = told;
        if !(self.low..=self.end).contains(end) {
            return Some(format!("ends at {end}, where it was {} to {}", self.low, self.end));
        }
        if *start != self.start {
            return Some(format!("begins at {start} instead of {}", self.start));
        }
        if *readable < read.min(self.low) {
            return Some(format!("is readable below {readable}, and was read up to {read}"));
        }
        (readable < start || readable > end)
            .then(|| format!("is readable below {readable}, and holds {start} to {end}"))
    }
}

#[cfg(test)]
mod tests {
    use seedlog::facts::{Appends, Fact, LogEnds};
    use seedlog::types::{BrokerId, Offset};

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1, orders};
    use crate::history::Injected;

    fn asks(story: Story) -> Story {
        story.fact("operator", Fact::MetricsAsked { client: "operator".into(), broker: BrokerId(1) })
    }

    /// Two batches, if nothing else is said.
    fn told(story: Story, ends: [i64; 3], records: u64) -> Story {
        told_of(story, ends, Appends { batches: 2, records })
    }

    fn told_of(story: Story, ends: [i64; 3], appended: Appends) -> Story {
        let [start, readable, end] = ends.map(Offset);
        let logs = vec![LogEnds { partition: orders(), start, readable, end }];
        let appended = [("orders".to_owned(), appended)].into();
        let (client, broker) = ("operator".into(), BrokerId(1));
        story.fact("operator", Fact::MetricsRead { client, broker, logs, appended })
    }

    /// Four records, and two more while somebody waits for the page.
    fn asked() -> Story {
        asks(Story::new().recovered(0, true).appended(0, 3, 1)).appended(4, 5, 1)
    }

    #[test]
    fn every_end_since_the_question_is_right() {
        for (end, records) in [(4, 4), (5, 5), (6, 6), (4, 6)] {
            let story = told(asked(), [0, end, end], records);
            assert_eq!(story.violations(&CHECK), [""; 0]);
            assert_eq!(story.met(&CHECK), 1);
        }
    }

    #[test]
    fn a_readable_end_that_stands_still_while_others_read_on_is_found() {
        let page = |readable| {
            let read = Story::new().recovered(0, true).appended(0, 3, 1).read("a", 2, "r-2");
            told_of(asks(read), [0, readable, 4], Appends { batches: 1, records: 4 }).violations(&CHECK)
        };
        assert_eq!(page(3), [""; 0]);
        assert_eq!(page(2), ["broker 1's metrics: orders-0 is readable below 2, and was read up to 3"]);
    }

    #[test]
    fn a_topic_that_is_left_out_is_found() {
        let logs =
            vec![LogEnds { partition: orders(), start: Offset(0), readable: Offset(6), end: Offset(6) }];
        let (client, broker) = ("operator".into(), BrokerId(1));
        let told = Fact::MetricsRead { client, broker, logs, appended: [].into() };
        let expected = ["broker 1's metrics: nothing of orders, which was appended to"];
        assert_eq!(asked().fact("operator", told).violations(&CHECK), expected);
    }

    #[test]
    fn batches_are_counted_as_well() {
        let found = |batches| {
            let appended = Appends { batches, records: 6 };
            told_of(asked(), [0, 6, 6], appended).violations(&CHECK).join("; ")
        };
        assert_eq!([found(1), found(2)], ["", ""]);
        assert_eq!(found(0), "broker 1's metrics: 0 batches appended to orders, of 1 to 2");
    }

    #[test]
    fn what_never_was_is_found() {
        let found = |ends, records| told(asked(), ends, records).violations(&CHECK).join("; ");
        assert_eq!(found([0, 3, 3], 4), "broker 1's metrics: orders-0 ends at 3, where it was 4 to 6");
        assert_eq!(found([0, 7, 7], 4), "broker 1's metrics: orders-0 ends at 7, where it was 4 to 6");
        assert_eq!(found([1, 4, 4], 4), "broker 1's metrics: orders-0 begins at 1 instead of 0");
        assert_eq!(found([0, 5, 4], 4), "broker 1's metrics: orders-0 is readable below 5, and holds 0 to 4");
        assert_eq!(found([0, 4, 4], 3), "broker 1's metrics: 3 records appended to orders, of 4 to 6");
        assert_eq!(found([0, 4, 4], 7), "broker 1's metrics: 7 records appended to orders, of 4 to 6");
    }

    #[test]
    fn an_open_log_without_a_line_is_found() {
        let (client, broker) = ("operator".into(), BrokerId(1));
        let appended = [("orders".to_owned(), Appends { batches: 2, records: 6 })].into();
        let nothing = Fact::MetricsRead { client, broker, logs: Vec::new(), appended };
        let expected = ["broker 1's metrics: nothing of orders-0, which is open"];
        assert_eq!(asked().fact("operator", nothing).violations(&CHECK), expected);
    }

    #[test]
    fn a_process_that_has_opened_nothing_yet_has_nothing_to_tell() {
        let started = Story::new().recovered(4, true).kill().fault(Injected::Start { target: broker_1() });
        let (client, broker) = ("operator".into(), BrokerId(1));
        let nothing = Fact::MetricsRead { client, broker, logs: Vec::new(), appended: [].into() };
        assert!(asks(started).fact("operator", nothing).violations(&CHECK).is_empty());
    }

    #[test]
    fn another_process_counts_from_zero() {
        let restarted = asked().killed("broker-1").recovered(6, false);
        assert!(told(restarted, [0, 6, 6], 0).violations(&CHECK).is_empty());
    }
}
