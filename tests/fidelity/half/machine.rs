//! Programs on the machine that this runs on.

mod ensemble;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seedlog::runtime::task;
use tokio::signal::unix::{SignalKind, signal};

use crate::program::{History, Limits, Program};
use crate::{disk, net, properties};

pub use ensemble::{Follower, Servers, on_zookeeper};

/// Loopback brings bytes before the call that sends them returns. So long may this process not run.
pub const WAIT: Duration = Duration::from_millis(100);
pub const ARRIVES_WITHIN: Duration = Duration::from_millis(5);

/// Below the range from which connecting sockets get theirs; each run has an address of its own.
const PORT: u16 = 19_092;

/// Runs a program that may have several outcomes, so often.
pub fn on_net(program: &Program, runs: u64) -> BTreeSet<History> {
    task::block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for run in 0..runs {
            let (director, parties) = net::Director::new(unused_address());
            for party in parties {
                running.spawn(async move {
                    party.obey().await;
                    None
                });
            }
            let (steps, pauses) = (program.steps_as::<net::Step>(), net::Pauses::of(&program.name, run));
            running.spawn(async move { Some(director.perform(steps, pauses).await) });
        }
        running.join_all().await.into_iter().flatten().collect()
    })
}

/// Looks at clocks and tasks, so often.
pub fn on_node(program: &Program, runs: u64) -> BTreeSet<History> {
    let steps = program.steps_as::<properties::Step>();
    let run = |_| {
        let steps = steps.clone();
        // On a thread of the pool, as whatever the product does.
        task::block_on(async { tokio::spawn(properties::perform(steps)).await.expect("no step panics") })
    };
    (0..runs).map(run).collect()
}

/// An address in 127/8 that no other run, and hardly another process, has.
fn unused_address() -> SocketAddr {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed) % 60_000 + 256;
    let process = std::process::id() % 200 + 2;
    SocketAddr::from(([127, process as u8, (run >> 8) as u8, run as u8], PORT))
}

/// The argument under which this program runs one program from its input, within limits of its own.
pub const WITHIN_LIMITS: &str = "within-limits";

/// Runs a program that has one outcome. None where this process may not do what the program needs.
pub fn on_disk(program: &Program) -> Option<History> {
    if program.limits.are_none() { Some(perform(program, folder().path())) } else { in_a_child(program) }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn perform(program: &Program, base: &Path) -> History {
    let base = base.to_owned();
    let (limits, steps) = (program.limits, program.steps_as::<disk::Step>());
    task::block_on(async move {
        task::blocking(|| ()).await; // The pool's first thread takes what it takes.
        limit(limits);
        disk::perform(base, limits, steps).await
    })
}

/// A file system of its own, taken away when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None where this process may not mount one. Where everything is there that tests need this is a failure.
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let disk = SmallDisk { folder: folder() };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(disk.folder.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(disk);
        }
        let is_required = std::env::var_os("SEEDLOG_REAL_PARTS").is_some_and(|parts| parts == "required");
        assert!(!is_required, "no right to mount a tmpfs (root)");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Of one that was not mounted nothing is taken away.
        let mut unmount = Command::new("umount");
        unmount.args(["-l", "-q"]).arg(self.folder.path());
        if let Err(error) = unmount.stderr(Stdio::null()).status() {
            eprintln!("{}: {error}", self.folder.path().display());
        }
    }
}

/// Limits hold for a process, and a disk is little only while no other process has its files open: one that this one starts
/// has, for a moment.
fn in_a_child(program: &Program) -> Option<History> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg(WITHIN_LIMITS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let text = serde_json::to_vec(program).expect("a program is data");
    child.stdin.take().expect("its input").write_all(&text).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}: {}", program.name, output.status);
    serde_json::from_slice(&output.stdout).expect("a history")
}

/// Runs the program on standard input.
pub fn run_within_limits() {
    let program: Program = serde_json::from_reader(std::io::stdin()).expect("a program");
    let history = match program.limits.disk_bytes {
        None => Some(perform(&program, folder().path())),
        Some(size) => SmallDisk::mount(size).map(|disk| perform(&program, disk.folder.path())),
    };
    println!("{}", serde_json::to_string(&history).expect("a history is data"));
}

fn limit(limits: Limits) {
    if let Some(bytes) = limits.bytes {
        // Without a handler the signal would end the process in place of the error.
        let handler = signal(SignalKind::from_raw(SIGXFSZ)).expect("a signal may be handled");
        std::mem::forget(handler);
        lower(Resource::Fsize, bytes);
    }
    if let Some(more) = limits.descriptors {
        lower(Resource::Nofile, fill_gaps() + more);
    }
}

const SIGXFSZ: i32 = 25;

fn lower(resource: Resource, limit: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(limit), maximum }).expect("a limit may be lowered");
}

/// The limit is one of numbers, so none below the largest may be free. How many are taken.
fn fill_gaps() -> u64 {
    let taken = std::fs::read_dir("/proc/self/fd").expect("the table of descriptors");
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    let numbers: Vec<u64> = taken.filter_map(|entry| number(entry.ok()?)).collect();
    // One of them was the listing's own, and is free again.
    let highest = numbers.iter().max().expect("some are open");
    let free = highest + 1 - numbers.len() as u64 + 1;
    for _ in 0..free {
        std::mem::forget(std::fs::File::open("/dev/null").expect("a descriptor"));
    }
    highest + 1
}
