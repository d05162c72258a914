//! Starts the real parts (our broker, kcat, ZooKeeper) for a test, each on a free loopback port in a folder of
//! its own, and stops them by their process id.
#![allow(dead_code, clippy::disallowed_methods, clippy::disallowed_types)] // Outside of any simulation.

pub mod ensemble;
pub mod http;
pub mod raw;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long anything may take to become ready, or to end.
const READY_MAX: Duration = Duration::from_secs(30);
const PROGRAM_MAX: Duration = Duration::from_secs(120);

/// A file of words, one a line, each line different: Debian package `wamerican`.
const WORDS: &str = "/usr/share/dict/american-english";

/// Whether a part from outside is there. Without it the test says so and is left out, unless
/// `SEEDLOG_REAL_PARTS=required` (as in CI) makes its absence a failure.
pub fn have(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var("SEEDLOG_REAL_PARTS").is_ok_and(|v| v == "required");
        assert!(!required, "{what} is missing and SEEDLOG_REAL_PARTS=required");
        eprintln!("LEFT OUT: {what} is not installed");
    }
    present
}

pub fn have_kcat() -> bool {
    have("kcat (Debian package kcat)", runs("kcat", "-V"))
}

pub fn have_words() -> bool {
    have("a file of words (Debian package wamerican)", Path::new(WORDS).exists())
}

pub fn have_zookeeper() -> bool {
    let jars = Path::new("/usr/share/java/zookeeper.jar").exists();
    have("ZooKeeper 3.8 (Debian packages zookeeper, default-jre-headless)", jars && runs("java", "-version"))
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The words, at least 100,000 of them.
pub fn words() -> Vec<String> {
    let text = std::fs::read_to_string(WORDS).expect("the words");
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(words.len() > 100_000, "only {} words", words.len());
    words
}

/// A process that is killed, and waited for, at the latest when it is dropped.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        Process { child: command.stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")) }
    }

    pub fn from_child(child: Child) -> Process {
        Process { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("a process to wait for");
    }

    /// SIGTERM, and wait; returns whether it ended well.
    pub fn terminate(&mut self) -> bool {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill(1)");
        assert!(status.success());
        self.wait().success()
    }

    /// SIGINT, as Ctrl-C does, and wait; returns whether it ended well.
    pub fn interrupt(&mut self) -> bool {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(status.expect("kill(1)").success());
        self.wait().success()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PROGRAM_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("a process to wait for") {
                return status;
            }
            assert!(Instant::now() < deadline, "process {} did not end in {PROGRAM_MAX:?}", self.child.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a process to ask").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to stop.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}

/// A port that nobody listens on, and that no other test of this process was given: until its server listens
/// the system would hand it out again.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        if GIVEN.lock().expect("no test panics here").insert(port) {
            return port;
        }
    }
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + READY_MAX;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {READY_MAX:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The `seedlog` command under test.
pub fn seedlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedlog"));
    command.env("SEEDLOG_LOG", std::env::var("SEEDLOG_LOG").unwrap_or_else(|_| "warn".into()));
    command
}

/// Starts a `seedlog` server and waits for the line that says it is ready.
pub fn start_ready(command: &mut Command) -> Process {
    let shown = format!("{command:?}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the seedlog command");
    let stdout = child.stdout.take().expect("piped");
    let process = Process { child };
    let mut lines = BufReader::new(stdout).lines();
    let ready = lines.find_map(|line| line.ok().filter(|l| l.contains("ready")));
    assert!(ready.is_some(), "{shown} ended before it was ready");
    process
}

/// `seedlog dev` on a fixed port, so that it can be killed and started again.
pub struct Dev {
    pub port: u16,
    /// Of the embedded ZooKeeper.
    pub zookeeper_port: u16,
    pub data: PathBuf,
    pub process: Process,
}

impl Dev {
    pub fn start(data: &Path) -> Dev {
        let (port, zookeeper_port) = (free_port(), free_port());
        let process = Dev::spawn(port, zookeeper_port, data);
        Dev { port, zookeeper_port, data: data.to_owned(), process }
    }

    fn spawn(port: u16, zookeeper_port: u16, data: &Path) -> Process {
        start_ready(
            seedlog()
                .arg("dev")
                .arg("--data")
                .arg(data)
                .args(["--listen", &format!("127.0.0.1:{port}")])
                .args(["--zookeeper-listen", &format!("127.0.0.1:{zookeeper_port}")]),
        )
    }

    pub fn zookeeper(&self) -> String {
        format!("127.0.0.1:{}", self.zookeeper_port)
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn kill_and_restart(&mut self) {
        self.kill_and_restart_after(|| {});
    }

    /// `between` happens while no process runs.
    pub fn kill_and_restart_after(&mut self, between: impl FnOnce()) {
        self.process.kill();
        between();
        self.process = Dev::spawn(self.port, self.zookeeper_port, &self.data);
    }
}

/// The resident set of a process, in MiB.
pub fn rss_mib(process: &Process) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a running process");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number") / 1024
}

/// Runs a program to its end and insists that it succeeds.
pub fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}\n{error}", output.status);
    output
}

pub fn kcat(bootstrap: &str) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", bootstrap, "-q", "-X", "reconnect.backoff.max.ms=200"]);
    command
}

pub fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).expect("text").lines().map(str::to_owned).collect()
}

/// A real ZooKeeper of one server.
pub struct ZooKeeper {
    pub port: u16,
    pub process: Process,
    _folder: tempfile::TempDir,
}

impl ZooKeeper {
    pub fn start() -> ZooKeeper {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let process = start_zookeeper(folder.path(), port, "");
        wait_until("ZooKeeper answers", || {
            four_letters(port, "srvr").is_some_and(|text| text.contains("Mode:"))
        });
        ZooKeeper { port, process, _folder: folder }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Starts a real server whose data are in `home/data`; `more` are further lines of its configuration.
fn start_zookeeper(home: &Path, port: u16, more: &str) -> Process {
    let data = home.join("data");
    std::fs::create_dir_all(&data).expect("a folder");
    let config = format!(
        "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
         4lw.commands.whitelist=*\nmaxClientCnxns=0\nminSessionTimeout=500\nmaxSessionTimeout=40000\n{more}",
        data.display()
    );
    let path = home.join("zoo.cfg");
    std::fs::write(&path, config).expect("a config");
    std::fs::write(home.join("log4j.properties"), "log4j.rootLogger=ERROR\n").expect("a config");
    let jars = ["servlet-api", "zookeeper", "slf4j-log4j12", "log4j-1.2"]
        .map(|j| format!("/usr/share/java/{j}.jar"));
    let mut java = Command::new("java");
    java.args([
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dzookeeper.extendedTypesEnabled=true",
    ])
    .arg("-cp")
    .arg(format!("{}:{}", home.display(), jars.join(":")))
    .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
    .arg(&path)
    .stdout(Stdio::null())
    .stderr(Stdio::null());
    Process::start(&mut java)
}

fn four_letters(port: u16, word: &str) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
