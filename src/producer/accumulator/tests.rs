use proptest::prelude::*;
use tokio::sync::oneshot;

use super::super::{RecordMetadata, SendError};
use super::*;
use crate::types::{BrokerId, LeaderEpoch, Offset, Timestamp};

const LIMITS: BatchLimits = BatchLimits {
    linger: Duration::from_millis(10),
    batch_bytes_max: 1_000,
    batch_records_max: 3,
    retry_policy: RetryPolicy { retries: 5, delivery_timeout: Duration::from_secs(10) },
};

const ORDERED: RequestLimits =
    RequestLimits { request_bytes_max: 10_000, in_flight_per_partition: 1, early: false };

const FIRST: Leader = Leader { broker: BrokerId(1), epoch: LeaderEpoch(3) };

type Delivery = oneshot::Receiver<Result<RecordMetadata, SendError>>;

fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("orders", number)
}

fn record(value: &[u8]) -> RecordData {
    RecordData {
        timestamp: Timestamp(0),
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Vec::new(),
    }
}

fn accept(accumulator: &mut Accumulator, number: i32, now: Instant) -> (bool, Delivery) {
    let (reply, outcome) = oneshot::channel();
    let value = accumulator.next_seq.to_be_bytes();
    (accumulator.accept(&partition(number), record(&value), reply, now, false), outcome)
}

fn take(accumulator: &mut Accumulator, now: Instant, limits: &RequestLimits) -> Vec<Outgoing> {
    accumulator.take(|_| Some(FIRST), now, limits)
}

/// Ends an attempt without any back-off.
fn end(accumulator: &mut Accumulator, out: &Outgoing, end: AttemptEnd, now: Instant) -> Option<Resolution> {
    accumulator.attempt_ended(&out.partition, out.attempt, end, now, |_| Duration::ZERO)
}

fn refused() -> AttemptEnd {
    AttemptEnd::Refused { reason: "not the leader".into(), again: true }
}

fn unclear() -> AttemptEnd {
    AttemptEnd::Unclear { reason: "disconnected".into(), again: true }
}

/// The sends in a batch, encoding it as the sender would on its first attempt.
fn seqs(accumulator: &mut Accumulator, out: &Outgoing) -> Vec<u64> {
    let bytes = match &out.payload {
        Payload::Encoded(bytes) => bytes.clone(),
        Payload::Records(records) => {
            assert!(!records.is_empty(), "a first attempt carries its records");
            let all: Vec<u8> = records.iter().flat_map(|r| r.value.clone().expect("a value")).collect();
            accumulator.encoded(&out.partition, out.attempt, all.clone().into());
            all.into()
        }
    };
    bytes.chunks(8).map(|seq| u64::from_be_bytes(seq.try_into().expect("eight bytes"))).collect()
}

#[test]
fn a_batch_lingers_and_is_taken_when_it_lingered() {
    let mut accumulator = Accumulator::new(LIMITS);
    accept(&mut accumulator, 0, at(0));
    assert!(take(&mut accumulator, at(9), &ORDERED).is_empty());
    assert_eq!(accumulator.next_ready(|_| Some(FIRST), &ORDERED), Some(at(10)));
    assert_eq!(take(&mut accumulator, at(10), &ORDERED).len(), 1);
}

#[test]
fn a_batch_full_by_count_does_not_linger() {
    let mut accumulator = Accumulator::new(LIMITS);
    let changed: Vec<bool> = (0..4).map(|_| accept(&mut accumulator, 0, at(0)).0).collect();
    assert_eq!(changed, [true, false, true, true], "opened, joined, filled, opened anew");
    let taken = take(&mut accumulator, at(0), &ORDERED);
    assert_eq!(seqs(&mut accumulator, &taken[0]), [0, 1, 2]);
}

#[test]
fn a_record_that_does_not_fit_closes_the_open_batch_and_may_be_larger_than_a_batch() {
    let mut accumulator = Accumulator::new(LIMITS);
    let replies = || oneshot::channel().0;
    accumulator.accept(&partition(0), record(&[0; 600]), replies(), at(0), false);
    accumulator.accept(&partition(0), record(&[0; 5_000]), replies(), at(0), false);
    let first = take(&mut accumulator, at(0), &ORDERED);
    end(&mut accumulator, &first[0], AttemptEnd::Stored(None), at(0));
    let second = take(&mut accumulator, at(0), &ORDERED);
    assert!(matches!(&second[0].payload, Payload::Records(records) if records.len() == 1));
}

#[test]
fn a_later_batch_of_a_partition_waits_for_the_one_in_flight() {
    let mut accumulator = Accumulator::new(LIMITS);
    for _ in 0..6 {
        accept(&mut accumulator, 0, at(0));
    }
    let first = take(&mut accumulator, at(0), &ORDERED);
    assert!(take(&mut accumulator, at(0), &ORDERED).is_empty());
    assert_eq!(accumulator.next_ready(|_| Some(FIRST), &ORDERED), None);
    end(&mut accumulator, &first[0], AttemptEnd::Stored(Some(Offset(0))), at(1));
    let second = take(&mut accumulator, at(1), &ORDERED);
    assert_eq!(seqs(&mut accumulator, &second[0]), [3, 4, 5]);
}

#[test]
fn a_refused_batch_goes_again_before_later_ones_with_the_same_bytes() {
    let mut accumulator = Accumulator::new(LIMITS);
    for _ in 0..6 {
        accept(&mut accumulator, 0, at(0));
    }
    let first = take(&mut accumulator, at(0), &ORDERED).remove(0);
    assert_eq!(first.retry_of, None);
    seqs(&mut accumulator, &first);
    end(&mut accumulator, &first, refused(), at(1));
    let again = take(&mut accumulator, at(1), &ORDERED).remove(0);
    assert_eq!((again.attempt.batch, again.retry_of), (first.attempt.batch, Some((0, 2))));
    assert_eq!(seqs(&mut accumulator, &again), [0, 1, 2]);
}

#[test]
fn several_batches_in_flight_that_fail_together_keep_their_order() {
    let pipelined = RequestLimits { in_flight_per_partition: 5, ..ORDERED };
    let mut accumulator = Accumulator::new(LIMITS);
    for _ in 0..9 {
        accept(&mut accumulator, 0, at(0));
    }
    let sent: Vec<Outgoing> = (0..3).flat_map(|_| take(&mut accumulator, at(0), &pipelined)).collect();
    for out in &sent {
        seqs(&mut accumulator, out);
        end(&mut accumulator, out, unclear(), at(1));
    }
    let ids: Vec<u64> =
        (0..3).flat_map(|_| take(&mut accumulator, at(1), &pipelined)).map(|o| o.attempt.batch).collect();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn a_request_takes_one_batch_per_partition_and_no_more_bytes_than_allowed() {
    let mut accumulator = Accumulator::new(LIMITS);
    for number in 0..4 {
        for _ in 0..6 {
            accept(&mut accumulator, number, at(0));
        }
    }
    let per_batch = 3 * record(&[0; 8]).size_bound();
    let two = RequestLimits { request_bytes_max: 2 * per_batch, ..ORDERED };
    let numbers = |taken: Vec<Outgoing>| taken.iter().map(|o| o.partition.partition).collect::<Vec<_>>();
    assert_eq!(numbers(take(&mut accumulator, at(0), &two)), [0, 1]);
    assert_eq!(numbers(take(&mut accumulator, at(0), &two)), [2, 3], "the turn goes on");
}

#[test]
fn queued_batches_expire_definitely_unless_an_attempt_was_unclear() {
    let mut accumulator = Accumulator::new(LIMITS);
    accept(&mut accumulator, 0, at(0));
    accept(&mut accumulator, 1, at(0));
    let taken = accumulator.take(|p| (p.partition == 1).then_some(FIRST), at(10), &ORDERED).remove(0);
    end(&mut accumulator, &taken, unclear(), at(20));
    assert_eq!(accumulator.next_expiry(), Some(at(10_000)));
    let outcomes: Vec<Outcome> = accumulator.expire(at(10_000)).into_iter().map(|r| r.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Failed(_), Outcome::Unknown(_)]), "{outcomes:?}");
    assert!(accumulator.is_resolved_below(u64::MAX));
}

#[test]
fn a_batch_in_flight_is_given_up_in_its_own_time_and_takes_no_other_along() {
    let mut accumulator = Accumulator::new(LIMITS);
    accept(&mut accumulator, 0, at(0));
    accept(&mut accumulator, 1, at(5_000));
    let taken = take(&mut accumulator, at(5_010), &ORDERED);
    assert_eq!(taken.len(), 2);
    assert_eq!(accumulator.next_expiry(), Some(at(10_000)));
    let outcomes: Vec<Outcome> = accumulator.expire(at(10_000)).into_iter().map(|r| r.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Unknown(_)]), "it may have been stored: {outcomes:?}");
    let late = end(&mut accumulator, &taken[0], AttemptEnd::Stored(None), at(10_001));
    assert!(late.is_none(), "nobody waits for it any more");
    let fresh = end(&mut accumulator, &taken[1], AttemptEnd::Stored(None), at(10_001)).expect("in time");
    assert_eq!(fresh.outcome, Outcome::Stored(None));
    assert!(!accumulator.is_busy());
}

#[test]
fn a_batch_does_not_wait_for_the_answer_of_a_broker_that_a_later_epoch_has_deposed() {
    let mut accumulator = Accumulator::new(LIMITS);
    accept(&mut accumulator, 0, at(0));
    let first = take(&mut accumulator, at(10), &ORDERED).remove(0);
    seqs(&mut accumulator, &first);
    let mut changed = |broker: i32, epoch: i32| {
        let leader = Leader { broker: BrokerId(broker), epoch: LeaderEpoch(epoch) };
        assert!(accumulator.leaders_changed(|_| Some(leader), at(20), |_| Duration::ZERO).is_empty());
        accumulator.queued_partitions().count()
    };
    assert_eq!(changed(2, 3), 0, "an old answer names another broker");
    assert_eq!(changed(1, 4), 0, "it leads again");
    assert_eq!(changed(2, 4), 1);
    let second = take(&mut accumulator, at(20), &ORDERED).remove(0);
    assert_eq!(second.retry_of, Some((0, 0)));
    // The first attempt's answer is not the second's.
    assert!(end(&mut accumulator, &first, AttemptEnd::Stored(Some(Offset(7))), at(21)).is_none());
    let resolution = end(&mut accumulator, &second, AttemptEnd::Stored(Some(Offset(8))), at(22));
    assert_eq!(resolution.expect("stored").outcome, Outcome::Stored(Some(Offset(8))));
}

#[test]
fn a_batch_that_is_put_back_while_it_is_encoded_keeps_its_records() {
    for is_taken_again_before in [false, true] {
        let mut accumulator = Accumulator::new(LIMITS);
        accept(&mut accumulator, 0, at(0));
        let first = take(&mut accumulator, at(10), &ORDERED).remove(0);
        let second = Leader { broker: BrokerId(2), epoch: LeaderEpoch(4) };
        accumulator.leaders_changed(|_| Some(second), at(20), |_| Duration::ZERO);
        let taken = is_taken_again_before.then(|| take(&mut accumulator, at(20), &ORDERED).remove(0));

        accumulator.encoded(&first.partition, first.attempt, Bytes::from_static(b"encoded"));

        let again = taken.unwrap_or_else(|| take(&mut accumulator, at(20), &ORDERED).remove(0));
        match again.payload {
            Payload::Encoded(bytes) => assert_eq!(bytes, "encoded"),
            Payload::Records(records) => assert_eq!(records.len(), 1),
        }
    }
}

#[test]
fn a_flush_ends_the_linger_of_what_was_accepted_before_it() {
    let mut accumulator = Accumulator::new(LIMITS);
    accept(&mut accumulator, 0, at(0));
    let target = accumulator.begin_flush();
    assert!(!accumulator.is_resolved_below(target));
    let taken = take(&mut accumulator, at(0), &ORDERED).remove(0);
    assert!(!accumulator.is_resolved_below(target), "in flight is not resolved");
    end(&mut accumulator, &taken, AttemptEnd::Stored(None), at(0));
    assert!(accumulator.is_resolved_below(target));
}

#[test]
fn what_is_abandoned_in_flight_is_unknown_and_what_was_never_sent_has_failed() {
    let mut accumulator = Accumulator::new(LIMITS);
    for _ in 0..4 {
        accept(&mut accumulator, 0, at(0));
    }
    take(&mut accumulator, at(0), &ORDERED);
    let outcomes: Vec<Outcome> =
        accumulator.abandon(&"closed".into()).into_iter().map(|resolution| resolution.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Unknown(_), Outcome::Failed(_)]), "{outcomes:?}");
}

/// One thing that happens to a producer.
#[derive(Clone, Debug)]
enum Step {
    Accept(i32),
    Take,
    /// Ends the oldest attempt in flight.
    End(Answer),
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Stored,
    Refused {
        again: bool,
    },
    /// Lost, before or after the broker stored it.
    Lost {
        stored: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let reply = prop_oneof![
        4 => Just(Answer::Stored),
        1 => any::<bool>().prop_map(|again| Answer::Refused { again }),
        2 => any::<bool>().prop_map(|stored| Answer::Lost { stored }),
    ];
    prop_oneof![
        4 => (0..3).prop_map(Step::Accept),
        3 => Just(Step::Take),
        3 => reply.prop_map(Step::End),
        1 => (1_u64..4_000).prop_map(Step::Wait),
    ]
}

/// A producer, its broker's log, and what the application was told.
struct World {
    accumulator: Accumulator,
    limits: RequestLimits,
    now: Instant,
    in_flight: VecDeque<(Outgoing, Vec<u64>)>,
    log: BTreeMap<TopicPartition, Vec<u64>>,
    outcomes: Vec<Delivery>,
}

impl World {
    fn new(limits: RequestLimits) -> World {
        World {
            accumulator: Accumulator::new(LIMITS),
            limits,
            now: Instant::START,
            in_flight: VecDeque::new(),
            log: BTreeMap::new(),
            outcomes: Vec::new(),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Accept(number) => {
                let (_, outcome) = accept(&mut self.accumulator, number, self.now);
                self.outcomes.push(outcome);
            }
            Step::Take => {
                for out in take(&mut self.accumulator, self.now, &self.limits) {
                    let seqs = seqs(&mut self.accumulator, &out);
                    self.in_flight.push_back((out, seqs));
                }
            }
            Step::End(reply) => self.end_oldest(reply),
            Step::Wait(ms) => {
                self.now = self.now + Duration::from_millis(ms);
                let expired = self.accumulator.expire(self.now);
                expired.into_iter().for_each(tell);
            }
        }
    }

    fn end_oldest(&mut self, reply: Answer) {
        let Some((out, seqs)) = self.in_flight.pop_front() else { return };
        let log = self.log.entry(out.partition.clone()).or_default();
        let base = Offset(log.len() as i64);
        let ended = match reply {
            Answer::Stored => AttemptEnd::Stored(Some(base)),
            Answer::Refused { again } => AttemptEnd::Refused { reason: "refused".into(), again },
            Answer::Lost { .. } => unclear(),
        };
        if matches!(reply, Answer::Stored | Answer::Lost { stored: true }) {
            log.extend(seqs);
        }
        if let Some(resolution) = end(&mut self.accumulator, &out, ended, self.now) {
            tell(resolution);
        }
    }

    /// First occurrences of a partition's log, in order.
    fn first_occurrences(&self, partition: &TopicPartition) -> Vec<u64> {
        let mut seen = std::collections::BTreeSet::new();
        self.log[partition].iter().copied().filter(|seq| seen.insert(*seq)).collect()
    }
}

fn tell(resolution: Resolution) {
    for (index, waiter) in resolution.waiters.into_iter().enumerate() {
        let partition = resolution.partition.clone();
        let told = match &resolution.outcome {
            Outcome::Stored(base) => {
                let offset = base.map(|base| base.plus(index as i64));
                Ok(RecordMetadata { partition, offset })
            }
            Outcome::Failed(reason) => Err(SendError::Failed(Arc::clone(reason))),
            Outcome::Unknown(reason) => Err(SendError::Unknown(Arc::clone(reason))),
        };
        waiter.reply.send(told).expect("the test keeps the receivers");
    }
}

proptest! {
    /// G1, and honesty about every record's outcome.
    #[test]
    fn sends_are_stored_in_order_and_every_fate_is_true(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new(ORDERED);
        for step in steps {
            world.apply(step);
        }
        for partition in world.log.keys() {
            prop_assert!(world.first_occurrences(partition).is_sorted(), "{partition}: {:?}", world.log);
        }
        world.accumulator.abandon(&"closed".into()).into_iter().for_each(tell);
        for (seq, outcome) in world.outcomes.iter_mut().enumerate() {
            let stored = world.log.values().flatten().any(|stored| *stored == seq as u64);
            match outcome.try_recv().expect("every send has an outcome") {
                Ok(told) => {
                    let offset = told.offset.expect("acks are on").0 as usize;
                    prop_assert_eq!(world.log[&told.partition][offset], seq as u64);
                }
                Err(SendError::Failed(_)) => prop_assert!(!stored, "send {} failed, yet it is stored", seq),
                Err(SendError::Unknown(_)) => {}
                Err(other) => prop_assert!(false, "send {} ended with {:?}", seq, other),
            }
        }
    }

    #[test]
    fn batches_of_several_partitions_are_never_mixed(steps in prop::collection::vec(step(), 1..100)) {
        let mut world = World::new(RequestLimits { in_flight_per_partition: 5, ..ORDERED });
        let mut homes: Vec<i32> = Vec::new();
        for step in steps {
            if let Step::Accept(number) = step {
                homes.push(number);
            }
            world.apply(step);
        }
        for (partition, log) in &world.log {
            prop_assert!(log.iter().all(|seq| homes[*seq as usize] == partition.partition));
        }
    }
}

/// What the rule prevents; the property above is not vacuous.
#[test]
fn with_several_in_flight_a_retry_is_overtaken() {
    let mut world = World::new(RequestLimits { in_flight_per_partition: 5, ..ORDERED });
    (0..6).for_each(|_| world.apply(Step::Accept(0)));
    world.apply(Step::Take);
    world.apply(Step::Take);
    world.apply(Step::End(Answer::Refused { again: true }));
    world.apply(Step::End(Answer::Stored));
    world.apply(Step::Take);
    world.apply(Step::End(Answer::Stored));
    assert_eq!(world.first_occurrences(&partition(0)), [3, 4, 5, 0, 1, 2]);
}
