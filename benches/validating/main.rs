//! What looking into a produced batch costs, a codec at a time: `validation = header` and `validation = records`, in
//! turns. CPU time of the thread, so that a busy machine disturbs little. Never a timed test: it prints, it does not
//! judge.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use seedlog::record::{BatchBuilder, Compression, RecordRules, Validation, admit};
use seedlog::types::Timestamp;

const BATCH_BYTES_MAX: usize = 1 << 20;
const RECORDS_OF_BATCHES: [usize; 3] = [1, 50, 1_000];
const VALUE_BYTES: usize = 200;
/// One measurement; both ways take turns.
const TURN: Duration = Duration::from_millis(40);
const TURNS: usize = 9;

fn main() {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let (turn, turns) = if is_smoke { (Duration::from_millis(1), 1) } else { (TURN, TURNS) };
    println!("{VALUE_BYTES} B of text a record; CPU ns a record, median [minimum] of {turns} turns");
    println!("codec    records   bytes of batch      header     records  difference");
    for records in RECORDS_OF_BATCHES {
        for codec in Compression::ALL {
            let batch = batch(codec, records);
            let (mut header, mut whole) = (Vec::new(), Vec::new());
            for _ in 0..turns {
                header.push(ns_a_record(&batch, records, Validation::Header, turn));
                whole.push(ns_a_record(&batch, records, Validation::Records, turn));
            }
            let (header, whole) = (Figures::of(header), Figures::of(whole));
            println!(
                "{:<8} {records:>7} {:>16} {:>6.1} [{:.1}] {:>6.1} [{:.1}] {:>6.1} [{:.1}]",
                codec.name(),
                batch.len(),
                header.median,
                header.least,
                whole.median,
                whole.least,
                whole.median - header.median,
                whole.least - header.least,
            );
        }
    }
}

struct Figures {
    median: f64,
    least: f64,
}

impl Figures {
    fn of(mut all: Vec<f64>) -> Figures {
        all.sort_by(f64::total_cmp);
        Figures { median: all[all.len() / 2], least: all[0] }
    }
}

/// Lines as an application would log them: text that compresses some four times.
fn batch(codec: Compression, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..records {
        let mut value = String::new();
        while value.len() < VALUE_BYTES {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (user, took) = (state >> 48, state >> 33 & 0x3ff);
            value.push_str(&format!("GET /orders/{user} status=200 took_ms={took} "));
        }
        value.truncate(VALUE_BYTES);
        builder.push(Timestamp(1_700_000_000_000 + n as i64), None, Some(value.as_bytes()), &[]);
    }
    builder.build()
}

fn ns_a_record(batch: &Bytes, records: usize, validation: Validation, turn: Duration) -> f64 {
    let rules = RecordRules { validation, ..RecordRules::default() };
    let start = cpu_time();
    let mut batches = 0_u32;
    while cpu_time() - start < turn {
        for _ in 0..16 {
            let admitted = admit(black_box(batch).clone(), BATCH_BYTES_MAX, &rules, Timestamp(0));
            black_box(admitted.expect("a sound batch"));
        }
        batches += 16;
    }
    (cpu_time() - start).as_nanos() as f64 / f64::from(batches) / records as f64
}

/// Of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
