//! What an operator meets: health, listings, completions, packaging; against real processes.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::http::{self, Answer};
use support::{Process, free_port, have, run, seedlog, start_ready, wait_until};

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// `seedlog dev`, with health.
struct Dev {
    address: String,
    http: String,
    zookeeper: String,
    process: Process,
    folder: tempfile::TempDir,
}

impl Dev {
    fn start() -> Dev {
        let folder = tempfile::tempdir().expect("a folder");
        let (listen, http, zookeeper) = (address(), address(), address());
        let process = start_ready(
            seedlog()
                .args(["dev", "--listen", &listen, "--http-listen", &http, "--zookeeper-listen", &zookeeper])
                .arg("--data")
                .arg(folder.path().join("data")),
        );
        Dev { address: listen, http, zookeeper, process, folder }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = run(seedlog().args(arguments).args(["--json", "--bootstrap", &self.address]));
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    }
}

fn health(http: &str) -> Answer {
    http::get(http, "/health").expect("health answers")
}

/// Asked while it starts, or as soon as it says that it is ready: each time it ends by itself, and well.
#[test]
fn a_broker_that_is_asked_to_stop_before_it_is_ready_ends_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, log) = (folder.path().join("one.toml"), folder.path().join("log"));
    let nobody = address();
    let data = folder.path().join("data");
    let settings = format!(
        "broker_id = 1\nlisten = \"127.0.0.1:0\"\ndata_dir = {data:?}\nzookeeper_servers = \"{nobody}\"\n"
    );
    std::fs::write(&config, settings).expect("a config");
    let diagnostics = std::fs::File::create(&log).expect("a file");
    let mut broker = Process::start(seedlog().args(["broker", "--config"]).arg(&config).stderr(diagnostics));
    let text = || std::fs::read_to_string(&log).expect("what it said");
    wait_until("it looks for ZooKeeper", || text().contains("zookeeper_disconnected"));

    assert!(broker.terminate(), "{}", text());
}

fn signal(process: &Process, name: &str) {
    run(Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]));
}

#[test]
fn health_says_when_zookeeper_was_not_heard_for_a_session_and_when_it_is_heard_again() {
    let dev = Dev::start();
    let http = address();
    assert_eq!(health(&dev.http).status, 200);
    let config = dev.folder.path().join("one.toml");
    let settings = format!(
        "broker_id = 1\nlisten = \"{}\"\nhttp_listen = \"{http}\"\ndata_dir = {:?}\nzookeeper_servers = \"{}\"\n\
         zookeeper_session_timeout_ms = 1500\n",
        address(),
        dev.folder.path().join("one"),
        dev.zookeeper
    );
    std::fs::write(&config, settings).expect("a config");
    let _broker = start_ready(seedlog().args(["broker", "--config"]).arg(&config));
    assert_eq!((health(&http).status, health(&http).body.as_str()), (200, "ok\n"));

    // Stopped, not ended: its connections stay, and nothing comes.
    signal(&dev.process, "STOP");
    wait_until("health is 503", || health(&http).status == 503);
    let told = health(&http).body;
    assert!(told.contains("ZooKeeper"), "{told}");
    signal(&dev.process, "CONT");

    wait_until("health is 200 again", || health(&http).status == 200);
}

#[test]
fn the_cluster_and_its_topics_are_listed_for_people_and_as_json() {
    let dev = Dev::start();
    for topic in ["orders", "audit"] {
        run(seedlog().args(["topic", "create", topic, "--partitions", "2", "--bootstrap", &dev.address]));
    }
    let info = dev.json(&["cluster", "info"]);
    assert_eq!(info["brokers"][0]["address"], dev.address.as_str());
    assert_eq!((&info["topics"], &info["partitions"]), (&Value::from(2), &Value::from(4)));
    assert_eq!(info["partitions_without_leader"], 0);
    let text = run(seedlog().args(["cluster", "info", "--bootstrap", &dev.address])).stdout;
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains(&format!("broker 0 at {}", dev.address)) && text.contains("2 topic(s)"), "{text}");

    assert_eq!(dev.json(&["topic", "list"]), serde_json::json!(["audit", "orders"]));
    let described = dev.json(&["topic", "describe", "orders"]);
    assert_eq!(described["partitions"][1]["leader"], 0);
    assert_eq!(described["partitions"][1]["readable_end_offset"], 0);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dev = Dev::start();
    let mut child = seedlog()
        .args(["topic", "list", "--bootstrap", &dev.address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// `seedlog produce` with this input: how it ended, what it said, and how long it took.
fn produce(bootstrap: &str, input: &str) -> (std::process::ExitStatus, String, Duration) {
    let start = Instant::now();
    let mut command = seedlog();
    command.args(["produce", "orders", "--bootstrap", bootstrap]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command");
    let mut stdin = child.stdin.take().expect("piped");
    // It may end before it has read anything.
    drop(std::io::Write::write_all(&mut stdin, input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    (output.status, String::from_utf8(output.stderr).expect("text"), start.elapsed())
}

#[test]
fn produce_says_how_many_lines_are_stored_and_fails_fast_without_a_broker() {
    let dev = Dev::start();
    let (status, said, took) = produce(&dev.address, "one\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("seedlog topic create orders"), "{said}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");

    run(seedlog().args(["topic", "create", "orders", "--bootstrap", &dev.address]));
    let (status, said, _) = produce(&dev.address, "one\ntwo\nthree\n");
    assert!(status.success(), "{said}");
    assert!(said.contains("3 of 3 line(s) stored in orders"), "{said}");

    let (status, said, took) = produce(&address(), "one\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("no broker answered"), "{said}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

#[test]
fn shells_get_their_completions() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef seedlog"), ("fish", "complete -c seedlog")]
    {
        let script = String::from_utf8(run(seedlog().args(["completions", shell])).stdout).expect("text");
        assert!(script.contains(word) && script.contains("produce"), "{shell}: {script}");
    }
    let bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn();
    let mut bash = bash.expect("bash");
    let script = run(seedlog().args(["completions", "bash"])).stdout;
    std::io::Write::write_all(&mut bash.stdin.take().expect("piped"), &script).expect("bash reads");
    assert!(bash.wait().expect("bash ends").success(), "bash does not take the script");
}

fn packaging() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging"))
}

#[test]
fn the_packaged_configuration_is_usable() {
    run(seedlog().args(["broker", "--check-config", "--config"]).arg(packaging().join("broker.toml")));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let analyze = Command::new("systemd-analyze").arg("--version").output();
    if !have("systemd-analyze (Debian package systemd)", analyze.is_ok_and(|o| o.status.success())) {
        return;
    }
    let unit = std::fs::read_to_string(packaging().join("seedlog.service")).expect("the unit");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("seedlog.service");
    std::fs::write(&copy, unit.replace("/usr/local/bin/seedlog", env!("CARGO_BIN_EXE_seedlog")))
        .expect("a unit");
    let output = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_container_starts_with_arguments_that_the_command_knows() {
    let file = std::fs::read_to_string(packaging().join("Containerfile")).expect("the Containerfile");
    let list = file.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a CMD");
    let arguments: Vec<String> = serde_json::from_str(list).expect("CMD is a JSON list");
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = arguments.iter().map(|argument| {
        let here = argument.replace("0.0.0.0:9092", "0.0.0.0:0").replace("0.0.0.0:9644", "127.0.0.1:0");
        here.replace("/var/lib/seedlog", &folder.path().display().to_string())
    });
    let mut process = start_ready(seedlog().args(arguments));
    assert!(process.terminate());
}
