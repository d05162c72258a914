//! What must not hurt a broker: each case gets a clear error, the broker goes on, and nothing is lost.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Outside of any simulation.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use seedlog::protocol::messages::{ApiVersionsRequest, MetadataRequest};
use seedlog::protocol::{ErrorCode, encode_request};
use seedlog::record::Compression;

use support::raw::{Raw, batch, fetch_request, produce_request};
use support::{Dev, Process, rss_mib, seedlog};

const TOPIC: &str = "orders";

/// A broker with one record in it.
struct Subject {
    dev: Dev,
    _folder: tempfile::TempDir,
}

impl Subject {
    fn start() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let dev = Dev::start(&folder.path().join("data"));
        let subject = Subject { dev, _folder: folder };
        let address = subject.dev.address();
        support::run(seedlog().args(["topic", "create", TOPIC, "--bootstrap", &address]));
        let stored = subject.client().produce(TOPIC, batch(Compression::None, &[b"first"]));
        assert_eq!(stored, (ErrorCode::NONE, 0));
        subject
    }

    fn client(&self) -> Raw {
        Raw::connect(&self.dev.address())
    }

    /// The broker goes on and what was stored is still there.
    fn goes_on(&self) {
        let mut client = self.client();
        assert_eq!(client.values(TOPIC).first().map(String::as_str), Some("first"));
        let (error, offset) = client.produce(TOPIC, batch(Compression::None, &[b"after"]));
        assert_eq!(error, ErrorCode::NONE);
        assert!(offset > 0);
        assert_eq!(client.values(TOPIC).last().map(String::as_str), Some("after"));
    }
}

#[test]
fn a_malformed_frame_closes_its_connection() {
    let subject = Subject::start();
    let mut frame = encode_request(9, 1, Some("raw"), &MetadataRequest::default()).to_vec();
    // An array length that the frame cannot hold.
    let end = frame.len();
    frame.truncate(end - 4);
    frame.extend_from_slice(&[0xff; 4]);
    let mut client = subject.client();
    client.send(&frame);
    assert!(client.is_closed_by_broker());
    subject.goes_on();
}

#[test]
fn an_absurd_length_closes_its_connection_before_anything_is_read() {
    let subject = Subject::start();
    for length in [i32::MAX, -1, i32::MIN] {
        let mut client = subject.client();
        client.send(&length.to_be_bytes());
        assert!(client.is_closed_by_broker(), "length {length}");
    }
    subject.goes_on();
}

#[test]
fn an_unknown_api_or_version_closes_its_connection() {
    let subject = Subject::start();
    for (api, version) in [(999_i16, 0_i16), (3, 99), (0, -1)] {
        let mut frame = 8_i32.to_be_bytes().to_vec();
        frame.extend_from_slice(&api.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&1_i32.to_be_bytes());
        let mut client = subject.client();
        client.send(&frame);
        assert!(client.is_closed_by_broker(), "api {api} version {version}");
    }
    subject.goes_on();
}

#[test]
fn api_versions_in_an_unknown_version_is_answered_in_version_0_with_the_list() {
    let subject = Subject::start();
    let mut client = subject.client();
    let mut frame = encode_request(3, 7, Some("raw"), &ApiVersionsRequest::default()).to_vec();
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    client.send(&frame);
    let answer = client.read_frame().expect("an answer");
    assert_eq!(&answer[..6], &[0, 0, 0, 7, 0, 35], "correlation id, UNSUPPORTED_VERSION");
    let listed = i32::from_be_bytes(answer[6..10].try_into().expect("four bytes"));
    assert!(listed >= 6, "{listed} APIs are listed");
    subject.goes_on();
}

#[test]
fn a_bad_crc_is_answered_with_corrupt_message() {
    let subject = Subject::start();
    let mut bytes = BytesMut::from(&batch(Compression::None, &[b"damaged"])[..]);
    let last = bytes.len() - 3;
    bytes[last] ^= 0x40;
    let (error, _) = subject.client().produce(TOPIC, bytes.freeze());
    assert_eq!(error, ErrorCode::CORRUPT_MESSAGE);
    subject.goes_on();
    assert!(!subject.client().values(TOPIC).contains(&"damaged".to_owned()));
}

#[test]
fn an_oversized_batch_is_answered_with_message_too_large() {
    let subject = Subject::start();
    let large = vec![b'x'; 2 << 20];
    let (error, _) = subject.client().produce(TOPIC, batch(Compression::None, &[&large]));
    assert_eq!(error, ErrorCode::MESSAGE_TOO_LARGE);
    subject.goes_on();
}

#[test]
fn an_unknown_topic_and_an_unknown_partition_are_answered_as_such() {
    let subject = Subject::start();
    let mut client = subject.client();
    let (error, _) = client.produce("nowhere", batch(Compression::None, &[b"x"]));
    assert_eq!(error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let response = client.call(9, &produce_request(TOPIC, 9, batch(Compression::None, &[b"x"]), -1));
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(ErrorCode(code), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let response = client.call(12, &fetch_request(TOPIC, 9, 0, 1000));
    assert_eq!(
        ErrorCode(response.responses[0].partitions[0].error_code),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    let response = client.call(12, &fetch_request(TOPIC, 0, 1_000_000, 1000));
    assert_eq!(ErrorCode(response.responses[0].partitions[0].error_code), ErrorCode::OFFSET_OUT_OF_RANGE);
    subject.goes_on();
}

#[test]
fn acks_that_do_not_exist_are_answered_with_invalid_required_acks() {
    let subject = Subject::start();
    let mut client = subject.client();
    let response = client.call(9, &produce_request(TOPIC, 0, batch(Compression::None, &[b"x"]), 2));
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(ErrorCode(code), ErrorCode::INVALID_REQUIRED_ACKS);
    subject.goes_on();
}

#[test]
fn a_decompression_bomb_is_refused_at_the_bound_or_told_by_its_place_and_costs_no_memory() {
    let subject = Subject::start();
    let address = subject.dev.address();
    let zeros = vec![0_u8; 512 << 20];
    let bomb = batch(Compression::Zstd, &[&zeros]);
    drop(zeros);
    assert!(bomb.len() < 1 << 20, "512 MiB in {} bytes", bomb.len());
    let before = rss_mib(&subject.dev.process);

    for _ in 0..20 {
        let (error, _) = subject.client().produce(TOPIC, bomb.clone());
        assert_eq!(error, ErrorCode::MESSAGE_TOO_LARGE);
    }

    // Each data thread may hold 16 times the largest batch, and zstd's window.
    let after = rss_mib(&subject.dev.process);
    assert!(after < before + 128, "{before} MiB before, {after} MiB after");

    // Where nobody looks into it, whoever unpacks it does so within a bound.
    let unlooked = "unlooked";
    support::run(
        seedlog()
            .args(["topic", "create", unlooked, "--bootstrap", &address])
            .args(["--config", "validation=header"]),
    );
    let (error, offset) = subject.client().produce(unlooked, bomb);
    assert_eq!(error, ErrorCode::NONE);
    let output = seedlog()
        .args(["consume", unlooked, "--from-beginning", "--bootstrap", &address])
        .output()
        .expect("our consumer");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains(unlooked) && error.contains(&format!("offset {offset}")), "{error}");
    subject.goes_on();
}

#[test]
fn a_frame_that_trickles_in_is_given_up_after_its_time_and_hinders_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = small_broker(folder.path(), "request_arrival_ms_max = 500\n");
    let mut slow = Raw::connect(&broker.address);
    slow.send(&100_i32.to_be_bytes());
    let start = Instant::now();
    let mut closed = false;
    while !closed && start.elapsed() < Duration::from_secs(10) {
        // Byte after byte: the time is counted from the first one, not from the last.
        closed = slow.stream.write_all(&[0]).is_err();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(closed, "a slow-loris was still served after {:?}", start.elapsed());
    broker.answers();
}

#[test]
fn a_client_that_never_reads_is_disconnected_and_hinders_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = small_broker(folder.path(), "response_send_ms_max = 500\n");
    support::run(seedlog().args(["topic", "create", TOPIC, "--bootstrap", &broker.address]));
    let value = vec![b'v'; 500_000];
    for _ in 0..20 {
        let stored = Raw::connect(&broker.address).produce(TOPIC, batch(Compression::None, &[&value]));
        assert_eq!(stored.0, ErrorCode::NONE);
    }
    let mut deaf = Raw::connect(&broker.address);
    let request = encode_request(12, 1, Some("deaf"), &fetch_request(TOPIC, 0, 0, 50 << 20));
    let start = Instant::now();
    let mut closed = false;
    while !closed && start.elapsed() < Duration::from_secs(10) {
        closed = deaf.stream.write_all(&request).is_err();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(closed, "a client that never reads was still served after {:?}", start.elapsed());
    broker.answers();
}

#[test]
fn five_thousand_idle_connections_cost_little_and_hinder_nobody() {
    seedlog::runtime::process::raise_open_files_limit().expect("a limit to raise");
    let subject = Subject::start();
    let before = rss_mib(&subject.dev.process);
    let mut idle = Vec::new();
    for _ in 0..5_000 {
        idle.push(TcpStream::connect(subject.dev.address()).expect("one more connection"));
    }
    // All of them are served, the last one too.
    let mut last = Raw { stream: idle.pop().expect("a connection") };
    let response = last.call(3, &ApiVersionsRequest::default());
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
    let after = rss_mib(&subject.dev.process);
    assert!(after < before + 150, "{} MiB more for 5,000 idle connections", after - before);
    subject.goes_on();
}

// -- configuration, data directory, port ---------------------------------------------------------------

struct SmallBroker {
    address: String,
    process: Process,
}

impl SmallBroker {
    fn answers(&mut self) {
        assert!(!self.process.has_ended());
        let response = Raw::connect(&self.address).call(3, &ApiVersionsRequest::default());
        assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
    }
}

/// `seedlog dev` with settings of its own.
fn small_broker(folder: &Path, settings: &str) -> SmallBroker {
    let config = folder.join("dev.toml");
    std::fs::write(&config, settings).expect("a config");
    let port = support::free_port();
    let address = format!("127.0.0.1:{port}");
    let process = support::start_ready(
        seedlog()
            .arg("dev")
            .arg("--data")
            .arg(folder.join("data"))
            .args(["--listen", &address])
            .arg("--config")
            .arg(&config),
    );
    SmallBroker { address, process }
}

/// Runs a server that must refuse to start; returns what it says.
fn refusal(command: &mut Command) -> String {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("seedlog");
    let mut stderr = child.stderr.take().expect("piped");
    let mut process = Process::from_child(child);
    let status = process.wait();
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("text");
    assert!(!status.success(), "it started");
    text
}

fn check_config(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broker.toml");
    std::fs::File::create(&path).and_then(|mut f| f.write_all(text.as_bytes())).expect("a config");
    refusal(seedlog().arg("broker").arg("--check-config").arg("--config").arg(&path))
}

const GOOD: &str = "\"broker.id\" = 1\ndata_dir = \"/tmp/x\"\n\"zookeeper.connect\" = \"127.0.0.1:2181\"\n";

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let text = check_config(&format!("{GOOD}\"log.segment.byte\" = 1048576\n"));
    assert!(text.contains("log.segment.byte") && text.contains("log.segment.bytes"), "{text}");
}

#[test]
fn an_impossible_value_is_named_with_what_would_be_right() {
    let text = check_config(&format!("{GOOD}\"num.partitions\" = 0\n"));
    assert!(text.contains("partitions") && text.contains('0'), "{text}");
    let text = check_config(&format!("{GOOD}durability = \"sometimes\"\n"));
    assert!(text.contains("durability") && text.contains("fsync"), "{text}");
    let text = check_config("\"zookeeper.connect\" = \"127.0.0.1:2181\"\n");
    assert!(text.contains("broker_id") || text.contains("broker.id"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let subject = Subject::start();
    let folder = tempfile::tempdir().expect("a folder");
    let taken = subject.dev.address();
    let text = refusal(seedlog().arg("dev").arg("--data").arg(folder.path()).args(["--listen", &taken]));
    assert!(text.contains(&taken), "{text}");
    subject.goes_on();
}

#[test]
fn a_data_directory_in_use_by_another_process_is_refused() {
    let subject = Subject::start();
    let text =
        refusal(seedlog().arg("dev").arg("--data").arg(&subject.dev.data).args(["--listen", "127.0.0.1:0"]));
    assert!(text.contains("in use") || text.contains("another process"), "{text}");
    subject.goes_on();
}

fn start_broker(id: i32, data: &Path, zookeeper: &support::ZooKeeper) -> Command {
    let config = data.with_extension(format!("{id}.toml"));
    let text = format!(
        "\"broker.id\" = {id}\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n\"zookeeper.connect\" = \"{}\"\n",
        data.display(),
        zookeeper.address()
    );
    std::fs::write(&config, text).expect("a config");
    let mut command = seedlog();
    command.arg("broker").arg("--config").arg(config);
    command
}

#[test]
fn a_data_directory_of_another_broker_or_cluster_is_refused() {
    if !support::have_zookeeper() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let zookeeper = support::ZooKeeper::start();
    let mut first = support::start_ready(&mut start_broker(1, &data, &zookeeper));
    assert!(first.terminate());
    let text = refusal(&mut start_broker(2, &data, &zookeeper));
    assert!(text.contains("broker 1") && text.contains('2'), "{text}");
    drop(zookeeper);
    let other = support::ZooKeeper::start();
    let text = refusal(&mut start_broker(1, &data, &other));
    assert!(text.contains("cluster"), "{text}");
}

#[test]
fn empty_frames_and_garbage_hurt_nobody() {
    let subject = Subject::start();
    for garbage in [&[0, 0, 0, 0][..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0; 64]] {
        let mut client = subject.client();
        client.send(garbage);
        assert!(client.is_closed_by_broker(), "{garbage:?}");
    }
    let no_batch = subject.client().produce(TOPIC, Bytes::new());
    assert_ne!(no_batch.0, ErrorCode::NONE);
    subject.goes_on();
}
