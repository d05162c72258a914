//! Medians, minima and ratios over the rounds.

use std::time::Duration;

use crate::usage::Usage;

pub const VALUE_BYTES: usize = 200;
/// A fetch of the round's messages costs a few ticks of the kernel's CPU clock: it is repeated this often.
pub const FETCH_PASSES: usize = 10;
/// A round writes at most this much, so that the page cache stays warm.
const ROUND_BYTES_MAX: usize = 300_000_000;

/// One kind of load.
#[derive(Clone)]
pub struct Load {
    /// Messages in a batch.
    pub batch: usize,
    pub requests: usize,
    /// Requests in flight.
    pub window: usize,
}

impl Load {
    pub fn new(batch: usize, messages: usize) -> Load {
        let bytes = 70 + batch * (VALUE_BYTES + 10);
        let requests = (messages / batch).min(ROUND_BYTES_MAX / bytes).max(1);
        let window = match batch {
            1 => 1_000,
            2..=100 => 100,
            _ => 10,
        };
        Load { batch, requests, window }
    }

    fn millions(&self) -> f64 {
        (self.requests * self.batch) as f64 / 1e6
    }
}

pub struct Round {
    pub load: Load,
    pub prototype_produce: (Usage, Duration),
    pub prototype_fetch: (Usage, Duration),
    pub broker_produce: (Usage, Duration),
    pub broker_fetch: (Usage, Duration),
}

pub fn print(rounds: &[Round]) {
    println!(
        "CPU seconds per million messages of {VALUE_BYTES} B: median (minimum) over the rounds; total = user + system"
    );
    let mut batches: Vec<usize> = rounds.iter().map(|r| r.load.batch).collect();
    batches.dedup();
    for batch in batches {
        let of_batch: Vec<&Round> = rounds.iter().filter(|r| r.load.batch == batch).collect();
        print_kind(&of_batch, "produce", 1, |r| r.prototype_produce, |r| r.broker_produce);
        print_kind(&of_batch, "fetch", FETCH_PASSES, |r| r.prototype_fetch, |r| r.broker_fetch);
    }
    let rss = rounds.iter().map(|r| r.broker_fetch.0.rss_kib).max().unwrap_or_default();
    println!("broker RSS at the end of a round: {:.1} MiB at most", rss as f64 / 1024.0);
}

type Pick = fn(&Round) -> (Usage, Duration);

fn print_kind(rounds: &[&Round], kind: &str, passes: usize, prototype: Pick, broker: Pick) {
    let load = &rounds[0].load;
    println!(
        "{kind}, batch {}, window {}, {} messages a round, {} rounds",
        load.batch,
        load.window,
        load.requests * load.batch * passes,
        rounds.len()
    );
    for (name, pick) in [("prototype", prototype), ("broker", broker)] {
        let per_million = |f: fn(Usage) -> f64| -> Vec<f64> {
            rounds.iter().map(|r| f(pick(r).0) / (r.load.millions() * passes as f64)).collect()
        };
        let rate: Vec<f64> =
            rounds.iter().map(|r| r.load.millions() * passes as f64 / pick(r).1.as_secs_f64()).collect();
        let calls: Vec<f64> = rounds
            .iter()
            .map(|r| (pick(r).0.reads + pick(r).0.writes) as f64 / (r.load.requests * passes) as f64)
            .collect();
        println!(
            "  {name:<10} user {}  system {}  total {}  {:.2} M msg/s  {:.3} read+write calls a request",
            spread(per_million(|u| u.user_s)),
            spread(per_million(|u| u.system_s)),
            spread(per_million(Usage::total_s)),
            median(rate),
            median(calls)
        );
    }
    let ratios = |f: fn(Usage) -> f64| -> Vec<f64> {
        rounds.iter().map(|r| f(broker(r).0) / f(prototype(r).0).max(0.005)).collect()
    };
    println!(
        "  ratio      total: median of rounds {:.2}, of minima {:.2}; user: median of rounds {:.2}",
        median(ratios(Usage::total_s)),
        minimum(rounds.iter().map(|r| broker(r).0.total_s()).collect())
            / minimum(rounds.iter().map(|r| prototype(r).0.total_s()).collect()).max(0.005),
        median(ratios(|u| u.user_s)),
    );
}

fn spread(values: Vec<f64>) -> String {
    format!("{:.3} ({:.3})", median(values.clone()), minimum(values))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn minimum(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}
