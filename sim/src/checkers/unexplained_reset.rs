//! H18, `unexplained-reset`: a position was reset although the log held it all the time, or although its consumer had just
//! been told that the log holds it, or as though there was none although a committed offset had been fetched; or it was
//! reset to another place than the consumer's policy says, or by one that is to ask its application. What is told to an
//! application that is asked is held to the same.
//!
//! The log's bounds are the testbed's own account of it, not what the broker said. With one replica, every
//! cut of the log counts; a position that lies on the log's end is in range. Nor is the end that a consumer was told believed:
//! it lies not before what somebody had been given when the position was set last, or when a cut left it behind the end, for
//! the consumer asks after that. That it lies not too far is check S20's business.

use std::collections::HashMap;

use seedlog::consumer::AutoReset;
use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::Incarnation;
use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H18", "unexplained-reset", Feature::Reset, judge);

#[derive(Clone, Copy, Default)]
struct Log {
    start: Offset,
    end: Offset,
    /// Somebody was given what stands below, and it is still there.
    read: Offset,
}

/// A log as it was left by a recovery or a truncation.
struct Cut {
    at: usize,
    log: Log,
}

#[derive(Default)]
struct Logs<'a> {
    now: HashMap<&'a TopicPartition, Log>,
    cuts: HashMap<&'a TopicPartition, Vec<Cut>>,
}

/// When a consumer's position was set, and what the log was then.
#[derive(Clone, Copy)]
struct Stood {
    at: usize,
    log: Log,
}

/// When a consumer was told where to go on: reading on from there does not count.
#[derive(Clone, Copy)]
struct Set {
    at: usize,
    log: Log,
    /// Whether the log held that position, so that nobody refuses it before a cut.
    is_held: bool,
}

#[derive(Default)]
struct State<'a> {
    logs: Logs<'a>,
    set: HashMap<(Incarnation<'a>, &'a TopicPartition), Set>,
    stood: HashMap<(Incarnation<'a>, &'a TopicPartition), Stood>,
    fetched: HashMap<(Incarnation<'a>, &'a TopicPartition), (usize, Offset)>,
    judged: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        state.logs.observe(at, fact);
        let (Some(incarnation), Some(partition)) = (Incarnation::of(entry, fact), fact.partition()) else {
            continue;
        };
        let place = (incarnation, partition);
        let objection = objection_of_policy(case, &state.logs, incarnation, fact);
        let objection = objection.map(|objection| (objection, vec![at]));
        if let Some((objection, evidence)) = objection.or_else(|| state.objection_of_end(at, place, fact)) {
            let message = format!("{} reset {partition}: {objection}", incarnation.consumer);
            state.findings.push(Finding::new(Some(partition), message, evidence));
        }
        state.observe(at, place, fact);
    }
    case.obligations.meet_many(state.judged);
    state.findings
}

/// What the consumer was told to do that does not know where it was; `None`: it is not known.
fn policy_of(case: &Case, incarnation: Incarnation) -> Option<AutoReset> {
    let alone = case.terms.consumers.get(incarnation.consumer).map(|terms| terms.reset);
    alone.or_else(|| Some(case.terms.groups.get(case.groups.of(incarnation)?)?.reset))
}

fn objection_of_policy(case: &Case, logs: &Logs, incarnation: Incarnation, fact: &Fact) -> Option<String> {
    if let Fact::PositionRefused { .. } = fact {
        let is_asked = policy_of(case, incarnation)? == AutoReset::None;
        return (!is_asked).then(|| "its application was asked, its policy knows where to go".to_owned());
    }
    let Fact::PositionReset { partition, from, to, log_start, log_end, .. } = fact else { return None };
    if let Some(from) = from.filter(|from| (*log_start..=*log_end).contains(from)) {
        return Some(format!("{from} is within the {log_start} to {log_end} that it had just been told"));
    }
    let due = match policy_of(case, incarnation)? {
        AutoReset::Earliest => *log_start,
        AutoReset::Latest => *log_end,
        AutoReset::None => return Some(format!("its application was to be asked, not sent to {to}")),
    };
    if *to != due {
        return Some(format!("it went to {to}, its policy leads to {due} of {log_start} to {log_end}"));
    }
    let start = logs.now.get(partition).copied().unwrap_or_default().start;
    (*log_start > start).then(|| format!("the log begins at {start}, not at {log_start}"))
}

impl Log {
    fn holds(self, offset: Offset) -> bool {
        (self.start..=self.end).contains(&offset)
    }

    /// What is left of it.
    fn cut(self, by: Log) -> Log {
        Log { start: self.start.max(by.start), end: self.end.min(by.end), read: self.read.min(by.end) }
    }
}

impl<'a> Logs<'a> {
    fn observe(&mut self, at: usize, fact: &'a Fact) {
        let before = |partition| self.now.get(partition).copied().unwrap_or_default();
        let (partition, log) = match fact {
            Fact::Appended { partition, last, .. } => {
                self.now.entry(partition).or_default().end = last.next();
                return;
            }
            Fact::Delivered { partition, offset, .. } => {
                let log = self.now.entry(partition).or_default();
                log.read = log.read.max(offset.next().min(log.end));
                return;
            }
            Fact::LogRecovered { partition, log_start, log_end, .. } => {
                (partition, Log { start: *log_start, end: *log_end, ..before(partition) })
            }
            Fact::Truncated { partition, end, .. } => (partition, Log { end: *end, ..before(partition) }),
            _ => return,
        };
        let log = Log { read: log.read.min(log.end), ..log };
        self.now.insert(partition, log);
        self.cuts.entry(partition).or_default().push(Cut { at, log });
    }

    fn cuts_since(&self, partition: &TopicPartition, at: usize) -> &[Cut] {
        let cuts = self.cuts.get(partition).map_or(&[][..], Vec::as_slice);
        &cuts[cuts.partition_point(|cut| cut.at <= at)..]
    }

    /// The offsets that the log held all the time since.
    fn held_since(&self, partition: &TopicPartition, stood: Stood) -> Log {
        self.cuts_since(partition, stood.at).iter().fold(stood.log, |held, cut| held.cut(cut.log))
    }

    /// When the consumer's question where the log ends was yet to come, and how far the log had been read by then, of what
    /// it still holds. `from`: the position that was refused.
    fn read_when_asked(&self, partition: &TopicPartition, set: Set, from: Option<Offset>) -> (usize, Offset) {
        let mut cuts = self.cuts_since(partition, set.at);
        let (mut at, mut log) = (set.at, set.log);
        let refuses = |cut: &Cut| from.is_some_and(|from| !cut.log.holds(from));
        if let Some(nth) = cuts.iter().position(refuses).filter(|_| set.is_held) {
            (at, log) = (cuts[nth].at, cuts[nth].log);
            cuts = &cuts[nth..];
        }
        (at, cuts.iter().fold(log, |held, cut| held.cut(cut.log)).read)
    }
}

impl<'a> State<'a> {
    fn observe(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), fact: &'a Fact) {
        match fact {
            Fact::PositionReset { from: Some(from), to, .. } => self.judge(at, place, *from, Some(*to)),
            Fact::PositionReset { from: None, to, .. } => self.judge_first(at, place, Some(*to)),
            Fact::PositionRefused { at: Some(from), .. } => return self.judge(at, place, *from, None),
            Fact::PositionRefused { at: None, .. } => return self.judge_first(at, place, None),
            Fact::OffsetFetched { offset: Some(offset), .. } => {
                self.fetched.insert(place, (at, *offset));
                return;
            }
            // It has none, and asks where to go on from here.
            Fact::OffsetFetched { offset: None, .. } => {
                self.fetched.remove(&place);
                self.set(at, place, None);
                return;
            }
            Fact::Assigned { .. } | Fact::Seeked { .. } | Fact::Delivered { .. } => {}
            _ => return,
        }
        if let Fact::Assigned { position, .. }
        | Fact::Seeked { position, .. }
        | Fact::PositionReset { to: position, .. } = fact
        {
            self.set(at, place, Some(*position));
        }
        let log = self.logs.now.get(place.1).copied().unwrap_or_default();
        self.stood.insert(place, Stood { at, log });
    }

    fn set(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), to: Option<Offset>) {
        let log = self.logs.now.get(place.1).copied().unwrap_or_default();
        let is_held = to.is_some_and(|to| log.holds(to));
        self.set.insert(place, Set { at, log, is_held });
    }

    /// The end that it was told is that of no log which somebody has read.
    fn objection_of_end(
        &self,
        at: usize,
        place: (Incarnation<'a>, &'a TopicPartition),
        fact: &Fact,
    ) -> Option<(String, Vec<usize>)> {
        let Fact::PositionReset { from, log_end, .. } = fact else { return None };
        let (since, read) = self.logs.read_when_asked(place.1, self.set.get(&place).copied()?, *from);
        let message =
            || format!("it was told that the log ends at {log_end}, which had been read up to {read}");
        (*log_end < read).then(|| (message(), vec![since, at]))
    }

    /// `to`: `None`: its application was asked.
    fn judge(
        &mut self,
        at: usize,
        place: (Incarnation<'a>, &'a TopicPartition),
        from: Offset,
        to: Option<Offset>,
    ) {
        let (incarnation, partition) = place;
        let Some(stood) = self.stood.get(&place).copied() else { return };
        self.judged += 1;
        let held = self.logs.held_since(partition, stood);
        if held.holds(from) {
            let was = match to {
                Some(to) => format!("was reset from {partition}@{from} to {to}"),
                None => format!("was told that {partition} has no {from}"),
            };
            let message =
                format!("{} {was} although the log was {}..={}", incarnation.consumer, held.start, held.end);
            self.findings.push(Finding::new(Some(partition), message, vec![stood.at, at]));
        }
    }

    fn judge_first(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), to: Option<Offset>) {
        let (incarnation, partition) = place;
        if let Some((fetched_at, offset)) = self.fetched.get(&place).copied() {
            let was = match to {
                Some(to) => format!("was set to {partition}@{to} as though it had no position"),
                None => format!("was told that it has no position in {partition}"),
            };
            let message = format!("{} {was}, but had fetched {offset}", incarnation.consumer);
            self.findings.push(Finding::new(Some(partition), message, vec![fetched_at, at]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::consumer::AutoReset;

    use seedlog::facts::Fact;
    use seedlog::types::Offset;

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn reading() -> Story {
        Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 4, "r-4")
    }

    #[test]
    fn a_reset_of_a_position_that_the_log_holds_is_found() {
        assert_eq!(
            reading().reset("a", Some(5), 0, (0, 3)).violations(&CHECK),
            ["a was reset from orders-0@5 to 0 although the log was 0..=10"]
        );
    }

    fn refused(at: Option<i64>) -> Fact {
        Fact::PositionRefused { consumer: "a".into(), partition: orders(), at: at.map(Offset) }
    }

    #[test]
    fn an_application_is_asked_only_for_a_position_that_the_log_does_not_hold() {
        let asked = |story: Story| story.resetting("a", AutoReset::None).fact("a", refused(Some(5)));
        assert_eq!(
            asked(reading()).violations(&CHECK),
            ["a was told that orders-0 has no 5 although the log was 0..=10"]
        );
        assert!(asked(reading().recovered(2, false)).violations(&CHECK).is_empty());
        let had_one = Story::new().joined("a", 1).fetched("a", Some(3)).fact("a", refused(None));
        let expected = ["a was told that it has no position in orders-0, but had fetched 3"];
        assert_eq!(had_one.violations(&CHECK), expected);
    }

    #[test]
    fn an_application_whose_policy_knows_where_to_go_is_not_asked() {
        let cut = reading().recovered(2, false).resetting("a", AutoReset::Latest);
        let expected = ["a reset orders-0: its application was asked, its policy knows where to go"];
        assert_eq!(cut.fact("a", refused(Some(5))).violations(&CHECK), expected);
    }

    #[test]
    fn the_end_of_the_log_is_in_range() {
        let story = Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 9, "r-9");
        assert_eq!(story.reset("a", Some(10), 0, (0, 9)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_cut_below_the_position_explains_it_even_if_the_log_grew_again() {
        let cut = reading().recovered(2, false);
        assert!(cut.reset("a", Some(5), 0, (0, 2)).violations(&CHECK).is_empty());
        let grown = reading().recovered(2, false).appended(2, 9, 2);
        assert!(grown.reset("a", Some(5), 0, (0, 2)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_cut_before_the_position_was_set_or_above_it_explains_nothing() {
        let before = Story::new().appended(0, 3, 1).recovered(2, false).appended(2, 9, 2);
        let before = before.assigned("a", 0).read("a", 4, "r-4");
        assert!(!before.reset("a", Some(5), 0, (0, 10)).violations(&CHECK).is_empty());
        let above = reading().recovered(7, false);
        assert!(!above.reset("a", Some(5), 0, (0, 7)).violations(&CHECK).is_empty());
    }

    #[test]
    fn whoever_has_just_been_told_that_the_log_holds_the_position_does_not_reset_it() {
        let regrown = |end: i64| reading().recovered(2, false).appended(2, end - 1, 2);
        assert_eq!(
            regrown(5).reset("a", Some(5), 0, (0, 5)).violations(&CHECK),
            ["a reset orders-0: 5 is within the 0 to 5 that it had just been told"]
        );
        assert!(regrown(4).reset("a", Some(5), 0, (0, 4)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_position_behind_the_end_is_reset_rightly() {
        let story = Story::new().appended(0, 3, 1).assigned("a", 7);
        assert!(story.reset("a", Some(7), 4, (0, 4)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_seek_is_no_reset() {
        let story = reading().recovered(2, false).reset("a", Some(5), 2, (0, 2));
        assert!(story.appended(2, 9, 2).sought("a", 2).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_reset_leads_where_the_policy_says() {
        let reset = |policy, to| {
            let story = Story::new().appended(0, 3, 1).resetting("a", policy).assigned("a", 7);
            story.reset("a", Some(7), to, (0, 4)).violations(&CHECK)
        };
        assert!(reset(AutoReset::Earliest, 0).is_empty());
        assert!(reset(AutoReset::Latest, 4).is_empty());
        assert_eq!(
            reset(AutoReset::Earliest, 4),
            ["a reset orders-0: it went to 4, its policy leads to 0 of 0 to 4"]
        );
        assert_eq!(reset(AutoReset::Latest, 0).len(), 1);
        assert_eq!(
            reset(AutoReset::None, 0),
            ["a reset orders-0: its application was to be asked, not sent to 0"]
        );
    }

    #[test]
    fn a_beginning_that_is_not_the_logs_is_no_place_to_be_reset_to() {
        let story = Story::new().appended(0, 3, 1).resetting("a", AutoReset::Earliest).assigned("a", 7);
        assert_eq!(
            story.reset("a", Some(7), 2, (2, 4)).violations(&CHECK),
            ["a reset orders-0: the log begins at 0, not at 2"]
        );
    }

    #[test]
    fn an_end_before_what_somebody_had_read_is_no_place_to_be_reset_to() {
        let read = || {
            let story = Story::new().resetting("a", AutoReset::Latest).appended(0, 9, 1);
            story.assigned("b", 6).read("b", 6, "r-6").assigned("a", 20)
        };
        let reset = |story: Story, to| story.reset("a", Some(20), to, (0, to)).violations(&CHECK);
        assert!(reset(read(), 7).is_empty());
        assert_eq!(
            reset(read(), 6),
            ["a reset orders-0: it was told that the log ends at 6, which had been read up to 7"]
        );
        assert!(reset(read().recovered(5, false), 5).is_empty(), "it was cut meanwhile");
        assert!(reset(read().read("b", 7, "r-7"), 7).is_empty(), "it may have asked before");
    }

    #[test]
    fn who_was_left_behind_the_end_by_a_cut_asked_after_it() {
        let reset = |to| reading().recovered(2, false).reset("a", Some(5), 0, (0, to)).violations(&CHECK);
        assert!(reset(2).is_empty());
        assert_eq!(
            reset(1),
            ["a reset orders-0: it was told that the log ends at 1, which had been read up to 2"]
        );
    }

    #[test]
    fn who_has_no_position_is_not_told_an_end_before_what_somebody_had_read() {
        let member = |end| {
            let story = Story::new().appended(0, 9, 1).assigned("b", 6).read("b", 6, "r-6");
            story.joined("m", 1).owned("m", 1).fetched("m", None).reset("m", None, 0, (0, end))
        };
        assert!(member(7).violations(&CHECK).is_empty());
        assert_eq!(
            member(6).violations(&CHECK),
            ["m reset orders-0: it was told that the log ends at 6, which had been read up to 7"]
        );
    }

    #[test]
    fn a_member_has_the_policy_of_its_group() {
        let story = Story::new().group_terms(Duration::from_secs(6), Duration::ZERO).appended(0, 3, 1);
        let story = story.joined("m", 1).owned("m", 1).fetched("m", None);
        assert!(story.reset("m", None, 0, (0, 4)).violations(&CHECK).is_empty());
        let story = Story::new().group_terms(Duration::from_secs(6), Duration::ZERO).appended(0, 3, 1);
        let story = story.joined("m", 1).owned("m", 1).fetched("m", None);
        assert_eq!(story.reset("m", None, 4, (0, 4)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn no_position_is_reset_rightly_unless_one_had_been_fetched() {
        let new = Story::new().joined("a", 1).owned("a", 1).fetched("a", None).reset("a", None, 0, (0, 0));
        assert!(new.violations(&CHECK).is_empty());
        let known = Story::new().joined("a", 1).owned("a", 1).fetched("a", Some(5));
        assert_eq!(known.reset("a", None, 0, (0, 9)).violations(&CHECK).len(), 1);
    }
}
