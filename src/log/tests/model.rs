//! Any sequence of operations, held against a log that is a vector.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, usize)>),
    Flush,
    Checkpoint,
    Truncate(prop::sample::Index),
    Reopen { clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = vec((1_usize..6, 0_usize..200), 1..5);
    let step = prop_oneof![
        8 => sizes.prop_map(Step::Append),
        2 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ];
    vec(step, 1..25)
}

/// From where, how many bytes, up to where, at least one.
type Query = (prop::sample::Index, u64, prop::sample::Index, bool);

fn queries() -> impl Strategy<Value = Vec<Query>> {
    vec((any::<prop::sample::Index>(), 0_u64..3000, any::<prop::sample::Index>(), any::<bool>()), 20)
}

/// The batches as they should be stored.
#[derive(Default)]
struct Model {
    batches: Vec<(BatchHeader, Bytes)>,
}

impl Model {
    fn end(&self) -> Offset {
        self.batches.last().map_or(Offset(0), |(header, _)| header.next_offset())
    }

    fn append(&mut self, batch: &AppendBatch) {
        let mut bytes = batch.bytes.to_vec();
        crate::record::patch(&mut bytes, self.end(), EPOCH);
        self.batches.push((BatchHeader::parse(&bytes).unwrap(), bytes.into()));
    }

    fn truncate(&mut self, end: Offset) {
        self.batches.retain(|(header, _)| header.next_offset() <= end);
    }

    /// What a read may answer: the batches from the one that holds `from`, all below `bound`, as many as fit.
    fn read(&self, from: Offset, bytes_max: u64, bound: Offset, at_least_one: bool) -> Vec<&Bytes> {
        let mut found = Vec::new();
        let mut room = bytes_max;
        for (header, bytes) in self.batches.iter().filter(|(header, _)| header.next_offset() > from) {
            let fits = bytes.len() as u64 <= room || (at_least_one && found.is_empty());
            if header.next_offset() > bound || !fits {
                break;
            }
            room = room.saturating_sub(bytes.len() as u64);
            found.push(bytes);
        }
        found
    }
}

async fn truncate(log: &mut Log, end: Offset) {
    if let Some(ticket) = log.begin_truncate(end).unwrap() {
        ticket.run().await.unwrap();
        log.checkpoint_lowered(ticket);
    }
    log.truncate(end).unwrap();
}

fn check_reads(log: &Log, model: &Model, queries: &[Query]) {
    let end = model.end();
    let pick = |index: &prop::sample::Index| Offset(index.index(end.0 as usize + 1) as i64);
    for (from, bytes_max, bound, at_least_one) in queries {
        let (from, bound) = (pick(from), pick(bound));
        let expected = model.read(from, *bytes_max, bound, *at_least_one);
        let range = log.read(from, *bytes_max, bound, *at_least_one).unwrap();
        let Some(range) = range else {
            assert!(expected.is_empty() || from >= bound, "{from}..{bound}: {expected:?}");
            continue;
        };
        let stored: Vec<Bytes> = batches_exact(bytes_of(&range)).map(Result::unwrap).collect();
        assert!(!stored.is_empty());
        let is_prefix = stored.iter().zip(&expected).all(|(stored, expected)| stored == *expected);
        assert!(is_prefix && stored.len() <= expected.len());
        // Shorter than what the model would give only where a segment ends.
        let last = BatchHeader::parse(stored.last().unwrap()).unwrap();
        let segment_ends = log.segments.iter().any(|segment| segment.base == last.next_offset());
        assert!(stored.len() == expected.len() || segment_ends);
    }
}

async fn play(data: PathBuf, steps: Vec<Step>, queries: Vec<Query>) {
    let mut model = Model::default();
    let mut log = open(&data, small()).await;
    for step in steps {
        match step {
            Step::Append(sizes) => {
                let batches: Vec<_> =
                    sizes.iter().map(|(count, bytes)| batch_at(model.end().0, *count, *bytes)).collect();
                log.append(&batches, EPOCH).unwrap();
                batches.iter().for_each(|batch| model.append(batch));
            }
            Step::Flush => {
                if log.flushed_end() < log.log_end() {
                    assert_eq!(flush(&mut log).await, model.end());
                }
            }
            Step::Checkpoint => {
                if log.next_checkpoint_at().is_some() {
                    checkpoint(&mut log).await;
                }
            }
            Step::Truncate(index) => {
                let end = Offset(index.index(model.end().0 as usize + 1) as i64);
                truncate(&mut log, end).await;
                model.truncate(end);
            }
            Step::Reopen { clean } => {
                if clean {
                    log.close_clean().await.unwrap();
                } else {
                    drop(log);
                }
                log = open(&data, small()).await;
                assert_eq!(log.flushed_end(), model.end());
            }
        }
        assert_eq!(log.log_end(), model.end());
        log.check_invariants();
    }
    check_reads(&log, &model, &queries);
    let stored = read_all(&log, log.log_end());
    assert!(stored.iter().eq(model.batches.iter().map(|(header, _)| header)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_vector_of_batches(steps in steps(), queries in queries()) {
        on_disk(move |data| play(data, steps, queries));
    }
}
