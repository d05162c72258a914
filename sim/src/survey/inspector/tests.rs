use std::future::Future;
use std::io::IoSlice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::record::{BatchBuilder, Compression};
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk::{File, OpenMode, Rate};
use seedlog::runtime::sim::identity;
use seedlog::runtime::sim::world::{self, RunConfig};
use seedlog::types::{LeaderEpoch, Timestamp};

use super::*;

const BROKER: BrokerId = BrokerId(1);
const EPOCH: LeaderEpoch = LeaderEpoch(3);

fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

/// A broker that writes a log of one batch after the other by hand, and what an inspector sees of it.
struct Hand {
    inspector: Inspector,
    seen: Vec<String>,
    segment: Offset,
    file: File,
    size: u64,
    next: Offset,
}

fn directory() -> PathBuf {
    Path::new(LOG_DIR).join("orders-0")
}

fn batch(base: Offset) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(1), None, Some(b"value"), &[]);
    let mut bytes = builder.build().to_vec();
    record::patch(&mut bytes, base, EPOCH);
    bytes
}

impl Hand {
    /// An empty log, names and all on the disk.
    async fn begin() -> Hand {
        disk::create_dir_all(&directory()).unwrap();
        let file = disk::open(&log_path(&directory(), Offset(0)), OpenMode::CreateOrOpen).unwrap();
        disk::sync_dir(&directory()).await.unwrap();
        disk::sync_dir(Path::new(LOG_DIR)).await.unwrap();
        let mut hand = Hand {
            inspector: Inspector::default(),
            seen: Vec::new(),
            segment: Offset(0),
            file,
            size: 0,
            next: Offset(0),
        };
        hand.state(Fact::LogRecovered {
            broker: BROKER,
            partition: orders(),
            clean: false,
            log_start: Offset(0),
            log_end: Offset(0),
            bytes_cut: 0,
        });
        hand
    }

    fn state(&mut self, fact: Fact) {
        let seen = self.inspector.inspect(identity::current().node, &fact);
        self.seen.extend(seen.iter().map(Seen::text));
    }

    fn write(&mut self, bytes: &[u8]) {
        self.file.write_at(&[IoSlice::new(bytes)], self.size).unwrap();
    }

    fn append(&mut self) {
        self.append_in(EPOCH);
    }

    /// States this epoch of it.
    fn append_in(&mut self, epoch: LeaderEpoch) {
        let bytes = batch(self.next);
        self.write(&bytes);
        self.size += bytes.len() as u64;
        let (broker, partition, base) = (BROKER, orders(), self.next);
        self.next = self.next.next();
        self.state(Fact::Appended { broker, partition, epoch, base, last: base, crc: 0 });
    }

    fn roll(&mut self) {
        (self.segment, self.size) = (self.next, 0);
        self.file = disk::open(&log_path(&directory(), self.segment), OpenMode::CreateNew).unwrap();
        self.state(Fact::SegmentRolled { broker: BROKER, partition: orders(), base: self.segment });
    }

    fn call_it_flushed(&mut self) {
        self.state(Fact::Flushed { broker: BROKER, partition: orders(), end: self.next });
    }

    /// As the next start of the broker finds it.
    fn unstated(&self) -> Vec<Seen> {
        self.inspector.before_start(BROKER)
    }
}

/// What the inspector saw.
fn seen<F: Future<Output = Vec<String>> + Send>(
    script: impl Fn() -> F + Send + Sync + 'static,
) -> Vec<String> {
    let config = RunConfig { seed: 1, keep_trace: false, event_limit: 100_000, buggify: false };
    let run = world::run(config, move || async move {
        let told = Arc::new(Mutex::new(None));
        let (script, telling) = (Arc::new(script), Arc::clone(&told));
        let node = world::add_node("broker-1", move || {
            let (script, telling) = (Arc::clone(&script), Arc::clone(&telling));
            async move {
                let seen = script().await;
                *telling.lock().unwrap() = Some(seen);
            }
        });
        world::start(node);
        clock::sleep(Duration::from_secs(5)).await;
        told.lock().unwrap().take().expect("the script has ended")
    });
    run.outcome.expect("no panic")
}

#[test]
fn what_was_synced_before_it_is_called_flushed_is_as_stated() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.append();
        hand.file.sync_data().await.unwrap();
        hand.call_it_flushed();
        hand.roll();
        hand.append();
        hand.file.sync_data().await.unwrap();
        disk::sync_dir(&directory()).await.unwrap();
        hand.call_it_flushed();
        hand.seen
    });
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn what_no_sync_has_covered_is_not_on_the_disk() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.file.sync_data().await.unwrap();
        hand.append();
        hand.call_it_flushed();
        hand.seen
    });
    assert_eq!(seen, ["broker 1 has orders-0 on its disk up to 1, and not up to 2: the last file ends at 1"]);
}

#[test]
fn a_file_whose_name_was_not_synced_is_not_on_the_disk() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.file.sync_data().await.unwrap();
        hand.roll();
        hand.append();
        hand.file.sync_data().await.unwrap();
        hand.call_it_flushed();
        hand.seen
    });
    let what = "there is no /data/orders-0/00000000000000000001.log";
    assert_eq!(seen, [format!("broker 1 has orders-0 on its disk up to 1, and not up to 2: {what}")]);
}

#[test]
fn a_checkpoint_that_says_more_than_was_flushed_is_held_to_it() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.file.sync_data().await.unwrap();
        hand.append();
        let mut checkpoint = [&b"SLCHECK2"[..], &0_i64.to_be_bytes(), &2_i64.to_be_bytes()].concat();
        checkpoint.extend_from_slice(&crc32fast::hash(&checkpoint).to_be_bytes());
        let file = disk::open(&directory().join("checkpoint"), OpenMode::CreateNew).unwrap();
        file.write_at(&[IoSlice::new(&checkpoint)], 0).unwrap();
        hand.state(Fact::Flushed { broker: BROKER, partition: orders(), end: Offset(1) });
        hand.seen
    });
    assert_eq!(seen, ["broker 1 has orders-0 on its disk up to 1, and not up to 2: the last file ends at 1"]);
}

#[test]
fn a_lie_of_the_device_is_told_once_and_as_its_own() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        disk::set_faults(identity::current().node, |faults| faults.sync_lies = Rate::Next(2));
        for _ in 0..2 {
            hand.append();
            hand.file.sync_data().await.unwrap();
            hand.call_it_flushed();
        }
        hand.append();
        hand.call_it_flushed();
        hand.seen
    });
    let lie = "broker 1 has orders-0 on its disk up to 0, and not up to 1: the last file ends at 0";
    let own = "broker 1 has orders-0 on its disk up to 2, and not up to 3: the last file ends at 2";
    assert_eq!(seen, [lie, own]);
}

#[test]
fn the_rest_of_a_failed_write_lies_behind_the_end() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.write(b"piece");
        hand.file.sync_data().await.unwrap();
        hand.call_it_flushed();
        hand.seen
    });
    let what = "5 bytes of /data/orders-0/00000000000000000000.log lie behind the log's end";
    assert_eq!(seen, [format!("the files of orders-0 on broker 1, at 1: {what}")]);
}

#[test]
fn an_append_over_the_rest_of_a_failed_write_is_seen_where_it_is_the_shorter_one() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        let size = batch(Offset(0)).len();
        hand.write(&vec![b'x'; size + 5]);
        hand.append();
        hand.seen
    });
    let what = "5 bytes lie behind an append: no batch begins there: ";
    let expected = format!("the files of orders-0 on broker 1, at 1: {what}");
    assert!(seen.len() == 1 && seen[0].starts_with(&expected), "{seen:?}");
}

#[test]
fn an_append_whose_batch_says_another_epoch_than_was_stated_is_seen() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.append_in(LeaderEpoch(4));
        hand.append();
        hand.seen
    });
    let what = "the batch in front says epoch 3, it was appended in 4";
    assert_eq!(seen, [format!("the files of orders-0 on broker 1, at 2: {what}")]);
}

#[test]
fn damage_further_up_does_not_hide_what_a_write_has_left() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        hand.append();
        hand.write(&batch(Offset(2)));
        hand.file.write_at(&[IoSlice::new(b"damage")], 70).unwrap();
        hand.write(&batch(Offset(2)));
        hand.unstated().iter().map(Seen::text).collect()
    });
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn the_batches_of_one_write_may_lie_behind_the_first_that_is_stated() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.write(&[batch(Offset(0)), batch(Offset(1))].concat());
        hand.append();
        hand.append();
        hand.seen
    });
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn a_log_that_goes_on_behind_what_was_stated_is_seen_before_the_next_start() {
    let seen = seen(|| async {
        let mut hand = Hand::begin().await;
        hand.append();
        let two = [batch(Offset(1)), batch(Offset(2))];
        hand.write(&two.concat());
        let one_write = hand.unstated();
        hand.write(&two[0]);
        hand.size += two[0].len() as u64;
        hand.write(&two[1]);
        let two_writes = hand.unstated();
        one_write.iter().chain(&two_writes).map(|seen| format!("{seen:?}")).collect()
    });
    let unstated = |is_one_write| {
        format!(
            "{:?}",
            Seen::Unstated {
                broker: BROKER,
                partition: orders(),
                from: Offset(1),
                to: Offset(3),
                is_one_write
            }
        )
    };
    assert_eq!(seen, [unstated(true), unstated(false)]);
}
