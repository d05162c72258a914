//! `seedlog produce`: lines of standard input become records.

use std::cell::Cell;
use std::io::{self, BufRead};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use seedlog::admin::AdminError;
use seedlog::producer::{Delivery, Producer, ProducerConfig, ProducerRecord};
use seedlog::record::Compression;
use seedlog::runtime::process::Termination;
use seedlog::runtime::task;
use seedlog::types::Acks;

use super::logging::Log;
use super::output::say;
use super::{Bootstrap, CommandError};

#[derive(clap::Args)]
pub struct Args {
    topic: String,
    /// Send every record to this partition.
    #[arg(long)]
    partition: Option<i32>,
    /// Split each line into key and value at the first occurrence of this text.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// How many copies must have a record before it counts as sent: 0, 1 or all.
    #[arg(long, default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, default_value = "none")]
    compression: Compression,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Lines read ahead of what was sent, and deliveries not yet looked at.
const LINES_AHEAD_MAX: usize = 10_000;

fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        other => Err(format!("`{other}` is not 0, 1 or all")),
    }
}

pub fn run(log: &Log, args: Args) -> Result<(), CommandError> {
    log.block_on(async move {
        let producer = Producer::start(ProducerConfig {
            bootstrap: args.bootstrap.bootstrap.clone(),
            client_id: "seedlog-produce".to_owned(),
            acks: args.acks,
            compression: args.compression,
            ..ProducerConfig::default()
        });
        // A cluster that is not there is said so before anything is read.
        producer.connect().await.map_err(CommandError::failed)?;
        check_topic(&args).await?;
        let counts = Counts::default();
        let outcome = send_all(&producer, &args, &counts).await;
        producer.close().await;
        let said = counts.said(&args);
        match outcome {
            Ok(()) => {
                say(said);
                Ok(())
            }
            Err(error) => Err(CommandError::Failed(format!("{error} ({said})"))),
        }
    })
}

/// A producer waits for a topic that somebody is about to make. Whoever types a name wants to know that it is wrong.
async fn check_topic(args: &Args) -> Result<(), CommandError> {
    let topic = &args.topic;
    match args.bootstrap.clone().admin().describe_topic(topic).await {
        Err(AdminError::Unknown(_)) => Err(CommandError::Failed(format!(
            "there is no topic {topic}: make it with `seedlog topic create {topic}`"
        ))),
        described => described.map(drop).map_err(CommandError::failed),
    }
}

/// Lines so far.
#[derive(Default)]
struct Counts {
    read: Cell<u64>,
    stored: Cell<u64>,
}

impl Counts {
    /// Without acknowledgements nobody knows what is stored.
    fn said(&self, args: &Args) -> String {
        let (read, stored) = (self.read.get(), self.stored.get());
        match args.acks {
            Acks::None => format!("{stored} of {read} line(s) sent to {}", args.topic),
            Acks::Leader | Acks::All => format!("{stored} of {read} line(s) stored in {}", args.topic),
        }
    }
}

/// Sends line after line until the input ends, a delivery fails, or a signal asks for the end. What was begun is
/// waited for in each case, so that the count is right.
async fn send_all(producer: &Producer, args: &Args, counts: &Counts) -> Result<(), CommandError> {
    let mut termination = Termination::watch().map_err(CommandError::failed)?;
    let mut lines = read_lines();
    let (deliveries, mut begun) = mpsc::channel::<Delivery>(LINES_AHEAD_MAX);
    let failed = Notify::new();
    let sending = async {
        let outcome = tokio::select! {
            biased;
            () = termination.asked() => Ok(()),
            () = failed.notified() => Ok(()),
            sent = send_lines(producer, args, counts, &mut lines, &deliveries) => sent,
        };
        drop(deliveries);
        producer.flush().await;
        outcome
    };
    let watching = async {
        let mut first_failure = Ok(());
        while let Some(delivery) = begun.recv().await {
            match delivery.await {
                Ok(_) => counts.stored.set(counts.stored.get() + 1),
                Err(error) if first_failure.is_ok() => {
                    failed.notify_one();
                    first_failure = Err(CommandError::failed(error));
                }
                Err(_) => {}
            }
        }
        first_failure
    };
    let (sent, stored) = tokio::join!(sending, watching);
    stored.and(sent)
}

async fn send_lines(
    producer: &Producer,
    args: &Args,
    counts: &Counts,
    lines: &mut mpsc::Receiver<io::Result<Vec<u8>>>,
    deliveries: &mpsc::Sender<Delivery>,
) -> Result<(), CommandError> {
    while let Some(line) = lines.recv().await {
        let line = line.map_err(|e| CommandError::Failed(format!("cannot read standard input: {e}")))?;
        counts.read.set(counts.read.get() + 1);
        let delivery = producer.send(record(args, line)).await.map_err(CommandError::failed)?;
        if deliveries.send(delivery).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Standard input has no asynchronous form: a thread of the pool reads it.
fn read_lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (lines, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    let reading = task::blocking(move || {
        for line in io::stdin().lock().split(b'\n') {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let group = task::TaskGroup::new(task::Lane::Data);
    group.spawn("stdin", reading);
    // The reader ends with its input, or with the process.
    std::mem::forget(group);
    receiver
}

fn record(args: &Args, line: Vec<u8>) -> ProducerRecord {
    let line = Bytes::from(line);
    let split = args.key_separator.as_ref().and_then(|separator| {
        let at = line.windows(separator.len()).position(|w| w == separator.as_bytes())?;
        Some((line.slice(..at), line.slice(at + separator.len()..)))
    });
    let (key, value) = match split {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    };
    ProducerRecord {
        topic: args.topic.clone(),
        partition: args.partition,
        key,
        value: Some(value),
        ..Default::default()
    }
}
