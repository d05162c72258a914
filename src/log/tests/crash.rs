//! Hundreds of crashes: what recovery finds is a prefix of the log before, with all that was flushed.

use std::sync::{Arc, Mutex};

use super::*;
use crate::record::HEADER_BYTES;
use crate::rules::{self, Rule};
use crate::runtime::rng::{self, Rng};
use crate::runtime::sim::disk::{CrashInside, Operation, set_faults};
use crate::runtime::sim::identity::NodeId;
use crate::runtime::sim::world::{self, Death, RunConfig};
use crate::runtime::{clock, disk, task};
use crate::types::Durability;

/// A batch as it was appended.
type Known = (Offset, Offset, u32);

/// What the process did, as seen from outside of its lives.
#[derive(Default)]
struct Ledger {
    appended: Vec<Known>,
    /// An append that had not answered when the process died.
    in_flight: Vec<Known>,
    flushed: Offset,
    recoveries: u32,
    records_lost: i64,
    /// What was wrong with a recovery.
    wrong: Vec<String>,
}

impl Ledger {
    fn end(&self) -> Offset {
        self.appended.last().map_or(Offset(0), |(_, last, _)| last.next())
    }

    /// Judges a recovered log and believes it.
    fn recovered(&mut self, found: Vec<Known>, end: Offset) {
        self.recoveries += 1;
        let known: Vec<Known> = self.appended.iter().chain(&self.in_flight).copied().collect();
        if !known.starts_with(&found) {
            self.wrong.push(format!("found {found:?}, which does not begin {known:?}"));
        }
        if end < self.flushed {
            self.wrong.push(format!("found up to {end}, {} had been flushed", self.flushed));
        }
        self.records_lost += self.end().since(end).max(0);
        self.appended = found;
        self.in_flight.clear();
        self.flushed = end;
    }
}

/// Every batch by header and CRC, or where the log is broken.
fn contents(log: &Log) -> Result<Vec<Known>, String> {
    let mut known = Vec::new();
    let mut at = log.log_start();
    while let Some(range) = log.read(at, ALL, log.log_end(), false).map_err(|error| error.to_string())? {
        for batch in batches_exact(bytes_of(&range)) {
            let batch = batch.map_err(|error| error.to_string())?;
            let header = validate(&batch, usize::MAX).map_err(|error| error.to_string())?;
            assert!(batch.len() >= HEADER_BYTES);
            known.push((header.base_offset, header.last_offset(), header.crc));
            at = header.next_offset();
        }
    }
    Ok(known)
}

fn draw_config(draws: &mut Rng) -> LogConfig {
    LogConfig {
        segment_bytes: draws.between(500, 6000),
        index_interval_bytes: draws.between(1, 1000),
        durability: if draws.chance(1, 2) { Durability::Fsync } else { Durability::PageCache },
        ..LogConfig::default()
    }
}

/// The process: opens its log, says what it found, appends and flushes until it dies.
async fn live(ledger: Arc<Mutex<Ledger>>) {
    let mut draws = rng::stream("test-life");
    let data = PathBuf::from("/data");
    let opened = try_open(&data, draw_config(&mut draws)).await;
    stop_if_dead().await;
    let mut log = match opened {
        Ok(log) => log,
        Err(error) => return ledger.lock().unwrap().wrong.push(error.to_string()),
    };
    match contents(&log) {
        Ok(found) => ledger.lock().unwrap().recovered(found, log.log_end()),
        Err(wrong) => return ledger.lock().unwrap().wrong.push(wrong),
    }
    for round in 0.. {
        let batches: Vec<_> = (0..draws.between(1, 3))
            .map(|_| batch_at(round, draws.between(1, 4) as usize, draws.below(400) as usize))
            .collect();
        append(&mut log, &batches, &ledger);
        stop_if_dead().await;
        if draws.chance(1, 3) {
            clock::sleep(Duration::from_micros(draws.below(3000))).await;
        }
        if draws.chance(1, 4)
            && let Some(ticket) = log.begin_flush()
        {
            let done = ticket.run().await;
            stop_if_dead().await;
            done.unwrap();
            ledger.lock().unwrap().flushed = log.finish_flush(ticket);
        }
        if draws.chance(1, 10)
            && let Some(ticket) = log.begin_checkpoint()
        {
            let done = ticket.run().await;
            stop_if_dead().await;
            done.unwrap();
            log.finish_checkpoint(ticket);
        }
        if draws.chance(1, 60) {
            let done = log.begin_close().unwrap().run().await;
            stop_if_dead().await;
            done.unwrap();
            ledger.lock().unwrap().flushed = log.log_end();
            return;
        }
        disk::settle().await;
    }
}

/// A process that died inside of an operation runs on until it would wait: here is where.
async fn stop_if_dead() {
    if !task::current_is_alive() {
        std::future::pending::<()>().await;
    }
}

fn append(log: &mut Log, batches: &[AppendBatch], ledger: &Mutex<Ledger>) {
    let mut next = log.log_end();
    let known = batches.iter().map(|batch| {
        let base = next;
        next = base.plus(i64::from(batch.header.record_count));
        (base, next.plus(-1), batch.header.crc)
    });
    let known: Vec<Known> = known.collect();
    ledger.lock().unwrap().in_flight.clone_from(&known);
    if log.append(batches, EPOCH).is_ok() {
        let mut ledger = ledger.lock().unwrap();
        ledger.in_flight.clear();
        ledger.appended.extend(known);
    }
}

fn crash_somehow(node: NodeId, draws: &mut Rng) {
    let death = if draws.chance(3, 4) { Death::PowerFailure } else { Death::Kill };
    if draws.chance(1, 3) {
        let operations = [Operation::Write, Operation::Write, Operation::Sync, Operation::Rename];
        let operation = *draws.pick(&operations).expect("there are some");
        let after = draws.below(6) as u32;
        set_faults(node, |faults| faults.crash_inside = Some(CrashInside { operation, after, death }));
    } else {
        world::end(node, death);
    }
}

/// Some lives of one node, each ended by a crash, some during recovery; then a last, quiet one.
async fn lives(ledger: Arc<Mutex<Ledger>>) {
    let mut draws = rng::world_stream("test-crashes");
    let theirs = Arc::clone(&ledger);
    let node = world::add_node("broker", move || live(Arc::clone(&theirs)));
    for _ in 0..draws.between(2, 6) {
        if !world::is_running(node) {
            world::start(node);
        }
        let life = if draws.chance(1, 4) { draws.below(3000) } else { draws.below(60_000) };
        clock::sleep(Duration::from_micros(life)).await;
        crash_somehow(node, &mut draws);
        clock::sleep(Duration::from_millis(20)).await;
        set_faults(node, |faults| *faults = Default::default());
        if world::is_running(node) {
            world::end(node, Death::Kill);
        } else if draws.chance(1, 4) {
            world::end(node, Death::PowerFailure);
        }
        if !ledger.lock().unwrap().wrong.is_empty() {
            return;
        }
    }
    world::start(node);
    clock::sleep(Duration::from_millis(100)).await;
    world::end(node, Death::Kill);
}

fn run_lives(seed: u64, suspended: Option<Rule>) -> Ledger {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let theirs = Arc::clone(&ledger);
    let config = RunConfig { seed, keep_trace: false, event_limit: 1_000_000, buggify: true };
    let finished = world::run(config, move || {
        suspended.into_iter().for_each(rules::suspend);
        lives(theirs)
    });
    let mut ledger = std::mem::take(&mut *ledger.lock().unwrap());
    if let Err(panic) = finished.outcome {
        ledger.wrong.push(panic);
    }
    ledger
}

#[test]
fn recovery_finds_a_prefix_with_all_that_was_flushed() {
    let (mut recoveries, mut lossy) = (0, 0);
    for seed in 0..700 {
        let ledger = run_lives(seed, None);
        assert!(ledger.wrong.is_empty(), "seed {seed}: {:#?}", ledger.wrong);
        recoveries += ledger.recoveries;
        lossy += u32::from(ledger.records_lost > 0);
    }
    assert!(recoveries > 2000 && lossy > 300, "{recoveries} recoveries, {lossy} with losses: a vacuous test");
}

fn finds(rule: Rule, seeds: std::ops::Range<u64>) -> bool {
    seeds.into_iter().any(|seed| !run_lives(seed, Some(rule)).wrong.is_empty())
}

#[test]
fn with_its_rule_suspended_a_torn_tail_is_found_in_the_log() {
    assert!(finds(Rule::CutTornTail, 0..100));
}

#[test]
fn with_its_rule_suspended_new_names_are_lost_with_what_was_flushed() {
    assert!(finds(Rule::SyncDirectoryOfNewName, 0..100));
}
