//! The real broker without room: few file descriptors, a full disk. It refuses, goes on, starts again, and says why.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;
use seedlog::record::Compression;
use support::raw::{Raw, batch};
use support::{Process, free_port, have, seedlog, start_ready, wait_until};

const TOPIC: &str = "orders";
/// Hardly more than the least that a broker starts with.
const OPEN_FILES_MAX: u32 = 224;

/// A `seedlog dev` whose files are in `data`, with a configuration file of its own.
struct Dev {
    data: PathBuf,
    port: u16,
    http_port: u16,
    /// 0: as many as the test itself may have.
    open_files_max: u32,
    process: Process,
}

impl Dev {
    fn start(data: &Path, config: &str, open_files_max: u32) -> Dev {
        std::fs::write(config_file(data), config).expect("a configuration file");
        let (port, http_port) = (free_port(), free_port());
        let process = start(data, &mut command(data, port, http_port, open_files_max));
        Dev { data: data.to_owned(), port, http_port, open_files_max, process }
    }

    fn command(&self) -> Command {
        command(&self.data, self.port, self.http_port, self.open_files_max)
    }

    fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = start(&self.data, &mut self.command());
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Raw {
        Raw::connect(&self.address())
    }

    fn create_topic(&self, name: &str, partitions: i32) -> (ErrorCode, String) {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false };
        let result = self.client().call(5, &request).topics.remove(0);
        (ErrorCode(result.error_code), result.error_message.unwrap_or_default())
    }

    fn health(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).expect("HTTP");
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// Waits for the last line of those that say it is ready.
fn start(data: &Path, command: &mut Command) -> Process {
    let output = data.with_extension("out");
    let mut process = Process::start(command.stdout(File::create(&output).expect("a file for its output")));
    wait_until("it is ready", || {
        assert!(!process.has_ended(), "it ended before it was ready");
        std::fs::read_to_string(&output).expect("its output").contains("metrics and health on")
    });
    process
}

fn config_file(data: &Path) -> PathBuf {
    data.with_extension("toml")
}

fn command(data: &Path, port: u16, http_port: u16, open_files_max: u32) -> Command {
    let mut command = match open_files_max {
        0 => seedlog(),
        max => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {max}; exec \"$0\" \"$@\"")]);
            shell.arg(env!("CARGO_BIN_EXE_seedlog")).env("SEEDLOG_LOG", "error");
            shell
        }
    };
    command.arg("dev").arg("--data").arg(data).arg("--config").arg(config_file(data));
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--http-listen", &format!("127.0.0.1:{http_port}")]);
    command
}

fn batch_of(values: &[&str]) -> Bytes {
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    batch(Compression::None, &values)
}

fn value(number: usize) -> String {
    format!("{number:0>100}")
}

#[test]
fn small_segments_connections_and_topics_within_few_descriptors() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "segment_bytes = 256\nconnections_per_ip_max = 10000\n";
    let mut dev = Dev::start(&folder.path().join("data"), config, OPEN_FILES_MAX);
    assert_eq!(dev.create_topic(TOPIC, 1).0, ErrorCode::NONE);

    // More segments than files may be open.
    let mut client = dev.client();
    for number in 0..300 {
        assert_eq!(client.produce(TOPIC, batch_of(&[&value(number)])), (ErrorCode::NONE, number as i64));
    }
    assert_eq!(client.values(TOPIC).len(), 300);

    // More connections: those from before go on.
    let connections: Vec<_> = (0..400).map(|_| TcpStream::connect(dev.address())).collect();
    assert_eq!(client.produce(TOPIC, batch_of(&[&value(300)])), (ErrorCode::NONE, 300));
    drop(connections);

    // More partitions: refused with the reason.
    wait_until("there is room for a connection", || TcpStream::connect(dev.address()).is_ok());
    std::thread::sleep(Duration::from_secs(1));
    let (code, reason) = dev.create_topic("too-many", 500);
    assert_eq!(code, ErrorCode::INVALID_PARTITIONS);
    assert!(reason.contains("ulimit -n"), "{reason}");
    while dev.create_topic(&format!("topic-{}", free_port()), 4).0 == ErrorCode::NONE {}

    assert!(!dev.process.has_ended());
    for _ in 0..2 {
        dev.kill_and_restart();
        let mut client = dev.client();
        let values = client.values(TOPIC);
        assert_eq!(values.len(), 301);
        assert!(values.iter().enumerate().all(|(number, stored)| *stored == value(number)));
    }
}

#[test]
fn with_too_few_descriptors_a_broker_says_how_many_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::write(config_file(&data), "").expect("a configuration file");

    let output =
        command(&data, free_port(), free_port(), 100).stdin(Stdio::null()).output().expect("it runs");

    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("ulimit -n"), "{text}");
}

/// A file system of a few megabytes, taken away when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        let is_mounted = mount.is_ok_and(|status| status.success());
        have("the right to mount a tmpfs (root)", is_mounted).then_some(SmallDisk { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).expect("a file");
        let piece = vec![1; 4096];
        while filler.write_all(&piece).is_ok() {}
        while filler.write_all(&[1]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{:?} stays mounted", self.path());
    }
}

#[test]
fn a_full_disk_refuses_and_says_so_and_is_waited_for() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut dev = Dev::start(&disk.path().join("data"), "", 0);
    assert_eq!(dev.create_topic(TOPIC, 1).0, ErrorCode::NONE);
    let mut client = dev.client();
    assert_eq!(client.produce(TOPIC, batch_of(&["first"])), (ErrorCode::NONE, 0));
    assert!(dev.health().starts_with("HTTP/1.1 200"));

    disk.fill();
    let large = "x".repeat(100_000);
    for _ in 0..3 {
        assert_eq!(client.produce(TOPIC, batch_of(&[&large])), (ErrorCode::KAFKA_STORAGE_ERROR, -1));
    }
    assert_eq!(client.values(TOPIC), ["first"]);
    let health = dev.health();
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("no space left"), "{health}");

    disk.make_room();
    assert_eq!(client.produce(TOPIC, batch_of(&["second"])), (ErrorCode::NONE, 1));
    assert!(dev.health().starts_with("HTTP/1.1 200"), "{}", dev.health());

    // From the start: `dev` writes before it is ready, and says what is missing.
    disk.fill();
    dev.process.kill();
    let begun = Instant::now();
    let output = dev.command().stdin(Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("no space left in") && text.contains("0 bytes free, needs"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    disk.make_room();
    dev.kill_and_restart();
    assert_eq!(dev.client().values(TOPIC), ["first", "second"]);
}

/// A broker of a cluster whose ZooKeeper is elsewhere.
#[test]
fn a_broker_starts_on_a_full_disk_and_serves_what_it_has() {
    let Some(disk) = SmallDisk::mount() else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let zookeeper = support::Dev::start(&elsewhere.path().join("data"));
    let (port, data) = (free_port(), disk.path().join("log"));
    let file = elsewhere.path().join("broker.toml");
    let config = format!(
        "broker_id = 7\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {data:?}\nzookeeper_servers = \"{}\"\n",
        zookeeper.zookeeper()
    );
    std::fs::write(&file, config).expect("a configuration file");
    let start = || start_ready(seedlog().arg("broker").arg("--config").arg(&file));
    let mut broker = start();
    let mut client = Raw::connect(&format!("127.0.0.1:{port}"));
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![7] }],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false };
    assert_eq!(client.call(5, &request).topics[0].error_code, 0);
    assert_eq!(client.produce(TOPIC, batch_of(&["first"])), (ErrorCode::NONE, 0));
    broker.kill();
    disk.fill();

    broker = start();

    let mut client = Raw::connect(&format!("127.0.0.1:{port}"));
    assert_eq!(client.values(TOPIC), ["first"]);
    let large = "x".repeat(100_000);
    assert_eq!(client.produce(TOPIC, batch_of(&[&large])), (ErrorCode::KAFKA_STORAGE_ERROR, -1));
    disk.make_room();
    assert_eq!(client.produce(TOPIC, batch_of(&[&large])), (ErrorCode::NONE, 1));
    assert!(!broker.has_ended());
}

fn led_partitions(dev: &Dev) -> usize {
    let everything = MetadataRequest { topics: None, ..Default::default() };
    let topics = dev.client().call(9, &everything).topics;
    topics.iter().flat_map(|topic| &topic.partitions).filter(|partition| partition.error_code == 0).count()
}

/// One after the other they took 14 to 44 s; side by side an idle machine takes half a second.
#[test]
fn sixteen_hundred_partitions_are_led_soon_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = Dev::start(&folder.path().join("data"), "", 0);
    for number in 0..8 {
        assert_eq!(dev.create_topic(&format!("many-{number}"), 200).0, ErrorCode::NONE);
    }
    wait_until("every partition is led", || led_partitions(&dev) == 1_600);

    let killed_at = Instant::now();
    dev.kill_and_restart();
    wait_until("every partition is led again", || led_partitions(&dev) == 1_600);

    assert!(killed_at.elapsed() < Duration::from_secs(10), "{:?}", killed_at.elapsed());
}
