//! What a real broker's log takes: hostile batches, and a bit that flips after kill -9.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seedlog::protocol::ErrorCode;
use seedlog::record::Compression;
use support::raw::{Raw, batch};
use support::{Dev, run, seedlog};

const TOPIC: &str = "orders";

fn start(data: &Path) -> Dev {
    let dev = Dev::start(data);
    run(seedlog().args(["topic", "create", TOPIC, "--partitions", "1", "--bootstrap", &dev.address()]));
    dev
}

/// The first segment of the topic's only partition.
fn log_file(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut directories = entries.filter(|path| path.is_dir());
    directories.find_map(|path| {
        let file = path.join("00000000000000000000.log");
        if path.ends_with(format!("{TOPIC}-0")) { Some(file) } else { log_file(&path) }
    })
}

/// Claims 2^31-1 records under the codec that `attributes` name.
fn lying_batch(attributes: i16) -> Bytes {
    let mut bytes = batch(Compression::None, &["x".repeat(4900).as_bytes()]).to_vec();
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn four_batches_that_claim_two_billion_records_each_end_no_broker_and_it_starts_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = start(folder.path());
    for attributes in [0, 1, 4] {
        let mut client = Raw::connect(&dev.address());
        for _ in 0..4 {
            // Refused or stored: what counts is that it is answered.
            client.produce(TOPIC, lying_batch(attributes));
        }
    }
    let (code, at) = Raw::connect(&dev.address()).produce(TOPIC, batch(Compression::None, &[b"after"]));
    assert_eq!(code, ErrorCode::NONE);

    dev.kill_and_restart();

    let stored = Raw::connect(&dev.address()).produce(TOPIC, batch(Compression::None, &[b"again"]));
    assert_eq!(stored, (ErrorCode::NONE, at + 1));
}

#[test]
fn a_bit_that_flips_after_kill_9_deletes_no_acknowledged_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = start(folder.path());
    let mut client = Raw::connect(&dev.address());
    for number in 0..5 {
        assert_eq!(client.produce(TOPIC, batch(Compression::None, &[b"kept"])), (ErrorCode::NONE, number));
    }
    let file = log_file(folder.path()).expect("the log");
    let mut stored = fs::read(&file).expect("the log's bytes");
    let third = stored.len() / 5 * 2;
    stored[third + 62] ^= 1;

    dev.kill_and_restart_after(|| fs::write(&file, &stored).expect("the flipped bit"));

    let (code, _) = Raw::connect(&dev.address()).produce(TOPIC, batch(Compression::None, &[b"after"]));
    assert_ne!(code, ErrorCode::NONE, "the partition is offline");
    assert_eq!(fs::read(&file).expect("the log's bytes"), stored, "nothing was cut");
}
