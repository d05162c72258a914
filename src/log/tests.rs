//! A log on a disk: simulated in the simulator's build, real in the other.

mod basics;
#[cfg(not(feature = "real-runtime"))]
mod crash;
mod damage;
#[cfg(not(feature = "real-runtime"))]
mod faults;
mod hostile;
mod index;
mod model;
#[cfg(not(feature = "real-runtime"))]
mod recovery;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::{AppendBatch, FoundRecord, Log, LogConfig, LogError, LookupStep, TimeTarget};
use crate::record::{BatchBuilder, BatchHeader, Compression, batches_exact, check_crc, validate};
use crate::runtime::FileRange;
use crate::types::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};

/// What only tests ask of a log.
impl Log {
    pub(super) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What holds of every log whose files nobody else touched: too much to look at after each append.
    pub(super) fn check_invariants(&self) {
        self.assert_ends_agree();
        let is_flushed = |segment: &super::segment::Segment| segment.base < self.flush.mark.0;
        for pair in self.segments.windows(2) {
            assert_eq!(pair[0].end, pair[1].base, "segments follow each other");
            assert!(!pair[0].is_empty(), "only the last segment is empty");
            assert!(pair[0].is_name_synced || !pair[1].is_name_synced, "names are synced in order");
        }
        for segment in &self.segments {
            assert_eq!(segment.is_empty(), segment.base == segment.end);
            assert!(segment.file.len().unwrap() >= segment.size, "what is counted is in the file");
            assert!(is_flushed(segment) || !segment.is_open_on_demand, "what takes syncs stays open");
            assert!(segment.last_epoch <= self.last_epoch);
        }
        let marked = self.segments.iter().find(|segment| segment.base == self.flush.mark.0);
        assert!(
            marked.is_some_and(|segment| self.flush.mark.1 <= segment.size),
            "the mark lies in its segment"
        );
    }

    /// Flushes everything and leaves the mark of a clean shutdown.
    pub(super) async fn close_clean(mut self) -> Result<(), super::LogError> {
        let ticket = self.begin_close()?;
        match ticket.run().await {
            Ok(()) => {
                self.finish_close(ticket);
                Ok(())
            }
            Err(error) => Err(self.close_failed(ticket, error)),
        }
    }
}

const EPOCH: LeaderEpoch = LeaderEpoch(1);
const ALL: u64 = u64::MAX / 2;
/// Cases of a property; each costs a real disk dozens of syncs.
const CASES: u32 = if cfg!(feature = "real-runtime") { 16 } else { 256 };

/// Runs `body` as a process on a simulated node, with an empty directory.
#[cfg(not(feature = "real-runtime"))]
fn on_disk<F>(body: impl FnOnce(PathBuf) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    use crate::runtime::clock;
    use crate::runtime::sim::world::{self, RunConfig};
    use std::sync::Mutex;

    let config = RunConfig { seed: 1, keep_trace: false, event_limit: 1_000_000, buggify: false };
    let body = Mutex::new(Some(body));
    let finished = world::run(config, move || async move {
        let node = world::add_node("disk", move || {
            let body = body.lock().unwrap().take().expect("the process lives once");
            body(PathBuf::from("/data"))
        });
        world::start(node);
        while world::is_running(node) {
            clock::sleep(Duration::from_millis(10)).await;
        }
    });
    finished.outcome.expect("the body ran to its end");
}

/// Runs `body` on the real machine, with an empty directory.
#[cfg(feature = "real-runtime")]
fn on_disk<F>(body: impl FnOnce(PathBuf) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let base = tempfile::tempdir().unwrap();
    crate::runtime::task::block_on(body(base.path().to_owned()));
}

fn partition() -> TopicPartition {
    TopicPartition::new("orders", 3)
}

/// Segments and intervals so small that every test crosses them.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 2000, index_interval_bytes: 300, ..LogConfig::default() }
}

async fn open(data: &std::path::Path, config: LogConfig) -> Log {
    try_open(data, config).await.expect("the log opens")
}

async fn try_open(data: &std::path::Path, config: LogConfig) -> Result<Log, LogError> {
    let directory = data.join(super::directory_name(&partition()));
    Log::open(directory, BrokerId(1), partition(), config).await
}

/// A batch of `count` records, about `bytes` bytes each, with timestamps from `start` on.
fn batch_at(start: i64, count: usize, bytes: usize) -> AppendBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for n in 0..count {
        let value = vec![n as u8; bytes];
        builder.push(Timestamp(start + n as i64), Some(&start.to_be_bytes()), Some(&value), &[]);
    }
    let bytes = builder.build();
    AppendBatch { header: validate(&bytes, usize::MAX).unwrap(), bytes }
}

fn batch(count: usize, bytes: usize) -> AppendBatch {
    batch_at(1000, count, bytes)
}

/// Runs a look-up to its end.
fn look_up(log: &Log, target: TimeTarget, bound: Offset) -> Result<Option<FoundRecord>, LogError> {
    let mut lookup = log.time_lookup(target, bound);
    loop {
        if let LookupStep::Done(found) = lookup.step()? {
            return Ok(found);
        }
    }
}

fn place(found: FoundRecord) -> (Offset, Timestamp) {
    (found.offset, found.timestamp)
}

async fn flush(log: &mut Log) -> Offset {
    let ticket = log.begin_flush().expect("there is something to flush");
    ticket.run().await.expect("the disk is well");
    log.finish_flush(ticket)
}

/// Brings the checkpoint up to what was flushed.
async fn checkpoint(log: &mut Log) {
    let ticket = log.begin_checkpoint().expect("the checkpoint is behind");
    ticket.run().await.expect("the disk is well");
    log.finish_checkpoint(ticket);
}

fn bytes_of(range: &FileRange) -> Bytes {
    let mut bytes = vec![0; range.len as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = range.file.read_at(&mut bytes[filled..], range.offset + filled as u64).unwrap();
        assert!(read > 0, "the range ends inside of the file");
        filled += read;
    }
    bytes.into()
}

/// The headers of every batch below `bound`, each with its CRC checked.
fn read_all(log: &Log, bound: Offset) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    let mut position = log.log_start();
    while let Some(range) = log.read(position, ALL, bound, false).expect("readable") {
        for batch in batches_exact(bytes_of(&range)) {
            let batch = batch.expect("whole batches");
            let header = BatchHeader::parse(&batch).unwrap();
            check_crc(&header, &batch).expect("a whole batch");
            assert_eq!(header.base_offset, position);
            position = header.next_offset();
            headers.push(header);
        }
    }
    headers
}
