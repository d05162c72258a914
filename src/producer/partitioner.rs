//! Chooses the partition of a record that names none.
//!
//! Pure: the topic's shape, the key and a drawn number in, a partition out. Whether a batch is open is the
//! accumulator's knowledge, so the caller says it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Partitioner;

/// What a choice needs to know about a topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopicShape<'a> {
    pub(super) partitions: i32,
    /// Those with a known leader, in order; records without a key prefer them.
    pub(super) available: &'a [i32],
}

/// The memory of a partitioner: one entry per topic that was sent to.
#[derive(Debug, Default)]
pub(super) struct Choices {
    sticky: BTreeMap<Arc<str>, i32>,
    turns: BTreeMap<Arc<str>, u32>,
}

impl Choices {
    /// The partition for a record. `joins_open_batch` tells whether a partition has an open batch that the
    /// record fits in; `draw` gives a random number and is called only when a new choice is made. Panics if
    /// the topic has no partition: metadata never say so.
    pub(super) fn choose(
        &mut self,
        partitioner: Partitioner,
        topic: &Arc<str>,
        shape: TopicShape,
        key: Option<&[u8]>,
        joins_open_batch: impl FnOnce(i32) -> bool,
        draw: impl FnOnce() -> u64,
    ) -> i32 {
        assert!(shape.partitions > 0, "topic {topic} has no partition");
        match (partitioner, key) {
            (Partitioner::Key, Some(key)) => partition_of_key(key, shape.partitions),
            (Partitioner::Key | Partitioner::Sticky, _) => {
                self.sticky_choice(topic, shape, joins_open_batch, draw)
            }
            (Partitioner::RoundRobin, _) => self.next_in_turn(topic, shape),
        }
    }

    fn sticky_choice(
        &mut self,
        topic: &Arc<str>,
        shape: TopicShape,
        joins_open_batch: impl FnOnce(i32) -> bool,
        draw: impl FnOnce() -> u64,
    ) -> i32 {
        if let Some(&current) = self.sticky.get(topic)
            && current < shape.partitions
            && joins_open_batch(current)
        {
            return current;
        }
        let drawn = draw();
        let choice = match shape.available.len() as u64 {
            0 => (drawn % shape.partitions as u64) as i32,
            candidates => shape.available[(drawn % candidates) as usize],
        };
        self.sticky.insert(Arc::clone(topic), choice);
        choice
    }

    fn next_in_turn(&mut self, topic: &Arc<str>, shape: TopicShape) -> i32 {
        let turn = self.turns.entry(Arc::clone(topic)).or_default();
        let nth = *turn as usize;
        *turn = turn.wrapping_add(1);
        match shape.available.len() {
            0 => (nth % shape.partitions as usize) as i32,
            candidates => shape.available[nth % candidates],
        }
    }
}

/// The partition of a key, as Kafka's clients compute it: murmur2, sign bit cleared, modulo the partitions.
///
/// ```
/// use seedlog::producer::partition_of_key;
///
/// // As Kafka's own clients choose, so that equal keys meet whoever sends them.
/// assert_eq!(partition_of_key(b"customer-1", 12), partition_of_key(b"customer-1", 12));
/// assert!((0..12).contains(&partition_of_key(b"customer-2", 12)));
/// ```
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) % partitions as u32) as i32
}

/// Kafka's murmur2: 32 bits, seed 0x9747b28c.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four")).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    for (index, &byte) in tail.iter().enumerate() {
        hash ^= u32::from(byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(partitions: i32) -> TopicShape<'static> {
        TopicShape { partitions, available: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11][..partitions as usize] }
    }

    fn choose(
        choices: &mut Choices,
        partitioner: Partitioner,
        shape: TopicShape,
        open: bool,
        drawn: u64,
    ) -> i32 {
        choices.choose(partitioner, &"orders".into(), shape, None, |_| open, || drawn)
    }

    #[test]
    fn murmur2_agrees_with_the_java_client() {
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn the_partition_of_a_key_is_never_negative() {
        assert_eq!(partition_of_key(b"foobar", 7), (-790332482_i32 & 0x7fff_ffff) % 7);
        assert_eq!(partition_of_key(b"", 1), 0);
    }

    #[test]
    fn equal_keys_meet_whatever_was_drawn() {
        let mut choices = Choices::default();
        let topic: Arc<str> = "orders".into();
        let mut of = |drawn| {
            let key = Some(b"customer-7".as_slice());
            choices.choose(Partitioner::Key, &topic, shape(12), key, |_| false, || drawn)
        };
        assert_eq!(of(1), of(2));
    }

    #[test]
    fn sticky_stays_while_its_batch_is_open_and_draws_anew_after() {
        let mut choices = Choices::default();
        let topic = shape(4);
        assert_eq!(choose(&mut choices, Partitioner::Sticky, topic, false, 2), 2);
        assert_eq!(choose(&mut choices, Partitioner::Sticky, topic, true, 3), 2);
        assert_eq!(choose(&mut choices, Partitioner::Sticky, topic, false, 3), 3);
    }

    #[test]
    fn sticky_leaves_a_partition_that_is_gone() {
        let mut choices = Choices::default();
        assert_eq!(choose(&mut choices, Partitioner::Sticky, shape(4), false, 3), 3);
        assert_eq!(choose(&mut choices, Partitioner::Sticky, shape(2), true, 1), 1);
    }

    #[test]
    fn round_robin_takes_all_in_turn() {
        let mut choices = Choices::default();
        let topic = shape(3);
        let taken: Vec<i32> =
            (0..6).map(|_| choose(&mut choices, Partitioner::RoundRobin, topic, false, 0)).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn partitions_without_a_leader_are_passed_over_unless_all_are() {
        let mut choices = Choices::default();
        let one_left = TopicShape { partitions: 3, available: &[1] };
        let none_left = TopicShape { partitions: 3, available: &[] };
        assert_eq!(choose(&mut choices, Partitioner::Sticky, one_left, false, 99), 1);
        assert_eq!(choose(&mut choices, Partitioner::Sticky, none_left, false, 5), 2);
    }
}
