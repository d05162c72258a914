//! `seedlog produce`: lines of standard input become records.

use std::io::BufRead;

use bytes::Bytes;
use tokio::sync::mpsc;

use seedlog::producer::{Delivery, Producer, ProducerConfig, ProducerRecord};
use seedlog::record::Compression;
use seedlog::runtime::task;
use seedlog::types::Acks;

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

pub fn run(args: Args) -> Result<(), CommandError> {
    task::block_on(async move {
        let producer = Producer::start(ProducerConfig {
            bootstrap: args.bootstrap.bootstrap.clone(),
            client_id: "seedlog-produce".to_owned(),
            acks: args.acks,
            compression: args.compression,
            ..ProducerConfig::default()
        });
        let sent = send_all(&producer, &args).await;
        producer.close().await;
        eprintln!("{} record(s) sent to {}", sent?, args.topic);
        Ok(())
    })
}

async fn send_all(producer: &Producer, args: &Args) -> Result<u64, CommandError> {
    let mut lines = read_lines();
    let (deliveries, mut fates) = mpsc::channel::<Delivery>(LINES_AHEAD_MAX);
    let sending = async move {
        while let Some(line) = lines.recv().await {
            let line = line.map_err(|e| CommandError::Failed(format!("cannot read standard input: {e}")))?;
            let delivery = producer.send(record(args, line)).await.map_err(CommandError::failed)?;
            if deliveries.send(delivery).await.is_err() {
                break;
            }
        }
        producer.flush().await;
        Ok(())
    };
    let watching = async move {
        let mut sent = 0;
        while let Some(delivery) = fates.recv().await {
            delivery.await.map_err(CommandError::failed)?;
            sent += 1;
        }
        Ok(sent)
    };
    tokio::try_join!(sending, watching).map(|((), sent)| sent)
}

/// Standard input has no asynchronous form: a thread of the pool reads it.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (lines, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    let reading = task::blocking(move || {
        for line in std::io::stdin().lock().split(b'\n') {
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
