//! A real text of more than 100,000 lines goes through the real broker and comes back: written by kcat with
//! every codec, keyed and unkeyed, the broker killed in between, read by kcat and by our consumer.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use support::{Dev, Process, ZooKeeper, kcat, lines, run, seedlog, start_ready, wait_until};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What a record of the text is: its key, if keyed, and its line.
type Line = (Option<String>, String);

fn text(keyed: bool) -> Vec<Line> {
    let words = support::words();
    words.into_iter().enumerate().map(|(i, word)| (keyed.then(|| format!("key-{}", i % 97)), word)).collect()
}

fn write_file(path: &Path, text: &[Line]) {
    let lines: Vec<String> = text
        .iter()
        .map(|(key, line)| key.as_ref().map_or_else(|| line.clone(), |key| format!("{key}\t{line}")))
        .collect();
    std::fs::write(path, lines.join("\n") + "\n").expect("a file to send");
}

fn produce(bootstrap: &str, topic: &str, codec: &str, keyed: bool, file: &Path) -> Command {
    let mut command = kcat(bootstrap);
    command.args(["-P", "-t", topic, "-z", codec, "-X", "acks=all", "-X", "batch.num.messages=500"]);
    // A broker that is killed and comes back is met again by retries; without -E kcat would give up at once.
    command.args(["-E", "-X", "message.timeout.ms=60000", "-X", "topic.metadata.refresh.interval.ms=500"]);
    if keyed {
        command.args(["-K", "\t"]);
    }
    command.arg("-l").arg(file);
    command
}

/// What kcat reads: (partition, offset, key, line), partitions one after the other.
fn read_by_kcat(bootstrap: &str, topic: &str) -> Vec<(i32, i64, Line)> {
    let output =
        run(kcat(bootstrap).args(["-C", "-t", topic, "-o", "beginning", "-e", "-f", "%p\t%o\t%K\t%k\t%s\n"]));
    let parsed = lines(&output).into_iter().map(|line| {
        let mut fields = line.splitn(5, '\t');
        let mut next = || fields.next().expect("five fields").to_owned();
        let (partition, offset, key_length, key, value) = (next(), next(), next(), next(), next());
        let key = (key_length != "-1" && !key.is_empty()).then_some(key);
        (partition.parse().expect("a partition"), offset.parse().expect("an offset"), (key, value))
    });
    let mut records: Vec<_> = parsed.collect();
    records.sort_by_key(|(partition, offset, _)| (*partition, *offset));
    records
}

fn read_by_our_consumer(bootstrap: &str, topic: &str) -> Vec<String> {
    lines(&run(seedlog().args(["consume", topic, "--from-beginning", "--bootstrap", bootstrap])))
}

/// Every line at least once; and per partition, first occurrences in the order of the text.
fn judge(text: &[Line], records: &[(i32, i64, Line)]) {
    let position: BTreeMap<&Line, usize> = text.iter().enumerate().map(|(i, line)| (line, i)).collect();
    let mut seen = BTreeSet::new();
    let mut last_first: BTreeMap<i32, usize> = BTreeMap::new();
    for (partition, offset, line) in records {
        let at = *position.get(line).unwrap_or_else(|| panic!("{line:?} was never sent (offset {offset})"));
        if seen.insert(at) {
            let last = last_first.insert(*partition, at);
            assert!(
                last.is_none_or(|last| last < at),
                "partition {partition}: line {at} came after {last:?}"
            );
        }
    }
    assert_eq!(seen.len(), text.len(), "lines were lost");
}

/// Every line at least once; first occurrences of one key's lines (of all lines, without keys: there is one
/// partition then) in the order of the text.
fn judge_values(text: &[Line], values: &[String]) {
    let sent: BTreeMap<&String, (usize, &Option<String>)> =
        text.iter().enumerate().map(|(i, (key, line))| (line, (i, key))).collect();
    let mut seen = BTreeSet::new();
    let mut last_first: BTreeMap<&Option<String>, usize> = BTreeMap::new();
    for value in values {
        let (at, key) = *sent.get(value).unwrap_or_else(|| panic!("{value:?} was never sent"));
        if seen.insert(at) {
            let last = last_first.insert(key, at);
            assert!(last.is_none_or(|last| last < at), "key {key:?}: line {at} came after {last:?}");
        }
    }
    assert_eq!(seen.len(), text.len(), "our consumer missed lines");
}

/// Bytes in the log files below `folder` whose directory belongs to `topic`.
fn stored_bytes(folder: &Path, topic: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.filter_map(Result::ok);
    entries
        .map(|entry| {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_topic = folder.file_name().is_some_and(|f| f.to_string_lossy().starts_with(topic));
            match path.is_dir() {
                true => stored_bytes(&path, topic),
                false if of_topic && name.ends_with(".log") => entry.metadata().map_or(0, |m| m.len()),
                false => 0,
            }
        })
        .sum()
}

/// Sends the text in two calls; during the second one `injure` strikes as soon as something was stored.
fn send_with_injury(
    bootstrap: &str,
    topic: &str,
    codec: &str,
    text: &[Line],
    data: &Path,
    injure: impl FnOnce(),
) {
    let keyed = text[0].0.is_some();
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = text.split_at(text.len() / 2);
    let (first_file, second_file) = (folder.path().join("first"), folder.path().join("second"));
    write_file(&first_file, first);
    write_file(&second_file, second);
    run(&mut produce(bootstrap, topic, codec, keyed, &first_file));
    let before = stored_bytes(data, topic);
    let mut producer = Process::start(&mut produce(bootstrap, topic, codec, keyed, &second_file));
    wait_until("more is stored", || stored_bytes(data, topic) > before);
    injure();
    assert!(producer.wait().success(), "kcat could not deliver everything to {topic}");
}

#[test]
fn every_line_survives_a_killed_broker_with_every_codec_keyed_and_unkeyed() {
    if !support::have_kcat() || !support::have_words() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = Dev::start(folder.path());
    let bootstrap = dev.address();
    for keyed in [false, true] {
        let text = text(keyed);
        let partitions = if keyed { "4" } else { "1" };
        for codec in CODECS {
            let topic = format!("{codec}-{}", if keyed { "keyed" } else { "unkeyed" });
            run(seedlog().args([
                "topic",
                "create",
                &topic,
                "--partitions",
                partitions,
                "--bootstrap",
                &bootstrap,
            ]));
            send_with_injury(&bootstrap, &topic, codec, &text, folder.path(), || dev.kill_and_restart());
            judge(&text, &read_by_kcat(&bootstrap, &topic));
            judge_values(&text, &read_by_our_consumer(&bootstrap, &topic));
        }
    }
}

#[test]
fn with_one_request_in_flight_every_line_arrives_exactly_once_and_in_order() {
    if !support::have_kcat() || !support::have_words() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(&folder.path().join("data"));
    let text = text(false);
    let file = folder.path().join("text");
    write_file(&file, &text);
    let mut command = produce(&dev.address(), "exactly", "lz4", false, &file);
    run(command.args(["-p", "0", "-X", "max.in.flight=1"]));
    let read: Vec<Line> =
        read_by_kcat(&dev.address(), "exactly").into_iter().map(|(_, _, line)| line).collect();
    assert!(read == text, "{} lines sent, {} read, or in another order", text.len(), read.len());
    let ours = read_by_our_consumer(&dev.address(), "exactly");
    assert!(ours.iter().eq(text.iter().map(|(_, line)| line)), "our consumer read {} lines", ours.len());
}

struct ClusterBroker {
    config: std::path::PathBuf,
    address: String,
    process: Process,
}

impl ClusterBroker {
    fn start(id: i32, folder: &Path, zookeeper: &str) -> ClusterBroker {
        let address = format!("127.0.0.1:{}", support::free_port());
        let config = folder.join(format!("broker-{id}.toml"));
        let text = format!(
            "\"broker.id\" = {id}\nlisten = \"{address}\"\ndata_dir = \"{}\"\n\"zookeeper.connect\" = \"{zookeeper}\"\n\
             zookeeper_session_timeout_ms = 2000\n",
            folder.join(format!("data-{id}")).display()
        );
        std::fs::write(&config, text).expect("a config");
        let process = ClusterBroker::spawn(&config);
        ClusterBroker { config, address, process }
    }

    fn spawn(config: &Path) -> Process {
        start_ready(seedlog().arg("broker").arg("--config").arg(config))
    }

    fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = ClusterBroker::spawn(&self.config);
    }
}

#[test]
fn two_brokers_on_a_real_zookeeper_keep_every_line_when_one_is_killed() {
    if !support::have_kcat() || !support::have_words() || !support::have_zookeeper() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let zookeeper = ZooKeeper::start();
    let one = ClusterBroker::start(1, folder.path(), &zookeeper.address());
    let mut two = ClusterBroker::start(2, folder.path(), &zookeeper.address());
    let bootstrap = format!("{},{}", one.address, two.address);
    run(seedlog().args(["topic", "create", "shared", "--partitions", "4", "--bootstrap", &bootstrap]));
    wait_until("both brokers know the topic", || {
        let mut describe = seedlog();
        describe.args(["topic", "describe", "shared", "--bootstrap", &bootstrap]);
        let described = describe.output().expect("the seedlog command");
        let described = String::from_utf8_lossy(&described.stdout).into_owned();
        described.contains("leader 1") && described.contains("leader 2")
    });
    let text = text(true);
    send_with_injury(&bootstrap, "shared", "snappy", &text, &folder.path().join("data-2"), || {
        two.kill_and_restart()
    });
    let records = read_by_kcat(&bootstrap, "shared");
    judge(&text, &records);
    assert_eq!(
        records.iter().map(|(p, ..)| *p).collect::<BTreeSet<_>>().len(),
        4,
        "a partition was not used"
    );
    judge_values(&text, &read_by_our_consumer(&bootstrap, "shared"));
    assert!(two.process.terminate(), "SIGTERM closes cleanly");
}
