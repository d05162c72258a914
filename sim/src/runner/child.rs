//! The parent's handle of one worker process.
//!
//! A worker that hangs or dies costs the run that it was at; the next run gets a new process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use super::worker::{Job, Reply};
use crate::report::Breakdown;

/// A worker process, started when there is something to do.
pub struct Worker {
    /// Program and arguments.
    command: Vec<OsString>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    replies: Receiver<std::io::Result<String>>,
    last_words: JoinHandle<LastWords>,
}

/// What a worker said on stderr that tells how it died. All of it is passed on too.
#[derive(Default)]
struct LastWords {
    overflowed: Option<String>,
    out_of_memory: Option<String>,
}

/// The signal that cannot be caught; the same number on every Unix.
const SIGKILL: i32 = 9;

/// What became of a job that brought no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub how: Breakdown,
    pub message: String,
}

impl Worker {
    /// A worker of this very program.
    pub fn new() -> anyhow::Result<Worker> {
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok(Worker::of_command(vec![program.into(), "worker".into()]))
    }

    /// A worker of another program that serves runs as this one does.
    pub fn of_program(program: &std::path::Path) -> Worker {
        Worker::of_command(vec![program.into(), "worker".into()])
    }

    fn of_command(command: Vec<OsString>) -> Worker {
        Worker { command, process: None }
    }

    /// Does one job. `Err` outside is trouble with the machine; inside, with the run.
    pub fn run(&mut self, job: &Job, wall_limit: Duration) -> anyhow::Result<Result<Reply, Broken>> {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.command)?);
        }
        let process = self.process.as_mut().expect("started above");
        let outcome = process.ask(job, wall_limit);
        match outcome {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(reply) => Ok(Ok(reply)),
                Err(error) => self.give_up(Breakdown::Abort, &format!("unreadable reply ({error}): {line}")),
            },
            Err(RecvTimeoutError::Timeout) => {
                let message = format!("no verdict after {} s on the wall", wall_limit.as_secs());
                self.give_up(Breakdown::Hang, &message)
            }
            Err(RecvTimeoutError::Disconnected) => self.give_up(Breakdown::Abort, "the worker died"),
        }
    }

    fn give_up(&mut self, how: Breakdown, message: &str) -> anyhow::Result<Result<Reply, Broken>> {
        let mut process = self.process.take().expect("it was asked just now");
        // Killing fails only where the process is gone, which is what is wanted.
        let _already_gone = process.child.kill();
        let status = process.child.wait()?;
        if how != Breakdown::Abort {
            return Ok(Err(Broken { how, message: message.to_owned() }));
        }
        let words = process.last_words.join().expect("reading lines does not panic");
        let (how, said) = match words {
            LastWords { out_of_memory: Some(line), .. } => (Breakdown::OutOfMemory, format!(" ({line})")),
            LastWords { overflowed: Some(line), .. } => (Breakdown::StackOverflow, format!(" ({line})")),
            // Nobody here kills a worker that owes no reply: it is how the kernel ends what eats its memory.
            _ if status.signal() == Some(SIGKILL) => (Breakdown::OutOfMemory, String::new()),
            _ => (Breakdown::Abort, String::new()),
        };
        Ok(Err(Broken { how, message: format!("{message}: {status}{said}") }))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _already_gone = process.child.kill();
            let _reaped = process.child.wait();
        }
    }
}

impl Process {
    fn start(command: &[OsString]) -> anyhow::Result<Process> {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a worker process")?;
        let stdin = child.stdin.take().expect("piped above");
        let stdout = child.stdout.take().expect("piped above");
        let stderr = child.stderr.take().expect("piped above");
        let last_words = std::thread::spawn(move || LastWords::read(BufReader::new(stderr)));
        // A reply at a time: the worker never gets ahead of its parent.
        let (sender, replies) = sync_channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Process { child, stdin, replies, last_words })
    }

    fn ask(&mut self, job: &Job, wall_limit: Duration) -> Result<String, RecvTimeoutError> {
        let mut line = serde_json::to_vec(job).expect("a job is plain data");
        line.push(b'\n');
        let asked = self.stdin.write_all(&line).and_then(|()| self.stdin.flush());
        if asked.is_err() {
            return Err(RecvTimeoutError::Disconnected);
        }
        let reply = self.replies.recv_timeout(wall_limit)?;
        reply.map_err(|_| RecvTimeoutError::Disconnected)
    }
}

impl LastWords {
    /// Passes every line on, and keeps those that the runtime writes before it aborts.
    fn read(stderr: impl BufRead) -> LastWords {
        let mut words = LastWords::default();
        for line in stderr.split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            eprintln!("{line}");
            if line.contains("has overflowed its stack") {
                words.overflowed = Some(line);
            } else if line.contains("memory allocation of") && line.contains("failed") {
                words.out_of_memory = Some(line);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::worker::Keep;
    use crate::scenario::library::built_in_sweep;

    fn worker(script: &str) -> Worker {
        Worker::of_command(vec!["sh".into(), "-c".into(), script.into()])
    }

    fn broken(worker: &mut Worker, wall_limit: Duration) -> Broken {
        let job = Job::new(&built_in_sweep(), 7, &[], Keep::Never);
        worker.run(&job, wall_limit).unwrap().unwrap_err()
    }

    #[test]
    fn a_worker_that_hangs_costs_its_run_and_is_replaced() {
        let mut worker = worker("read job; exec sleep 600");
        for _ in 0..2 {
            assert_eq!(broken(&mut worker, Duration::from_millis(50)).how, Breakdown::Hang);
        }
    }

    #[test]
    fn a_worker_that_dies_costs_its_run_and_says_how() {
        let mut worker = worker("read job; kill -ABRT $$");
        for _ in 0..2 {
            let broken = broken(&mut worker, Duration::from_secs(60));
            assert_eq!(broken.how, Breakdown::Abort);
            assert!(broken.message.contains("signal: 6"), "{}", broken.message);
        }
    }

    #[test]
    fn a_worker_that_runs_out_of_stack_or_memory_says_so_before_it_dies() {
        let mut overflown =
            worker("read job; echo \"thread 'x' has overflowed its stack\" >&2; kill -ABRT $$");
        assert_eq!(broken(&mut overflown, Duration::from_secs(60)).how, Breakdown::StackOverflow);
        let mut full = worker("read job; echo memory allocation of 9 bytes failed >&2; kill -ABRT $$");
        assert_eq!(broken(&mut full, Duration::from_secs(60)).how, Breakdown::OutOfMemory);
        let mut killed = worker("read job; kill -KILL $$");
        assert_eq!(broken(&mut killed, Duration::from_secs(60)).how, Breakdown::OutOfMemory);
    }
}
