//! CPU seconds of the broker per million messages, produce and fetch, interleaved with the bare prototype in
//! the same minutes. Method: `docs/performance.md`. Never a timed test: it prints, it does not judge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A program of its own beside the broker.

mod client;
mod process;
mod prototype;
mod report;
mod usage;
mod wire;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use client::Client;
use process::Server;
use report::{Load, Round};
use usage::Usage;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// CPU seconds per million messages.
#[derive(Parser, Clone)]
struct Options {
    /// Rounds of each load and server; the medians and minima over them are printed.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Messages a round, at most; a round also stays below 300 MB.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Messages in a batch, one load each.
    #[arg(long, value_delimiter = ',', default_value = "1,50,1000")]
    batches: Vec<usize>,
    /// Measure this broker instead of ours; needs --pid.
    #[arg(long)]
    bootstrap: Option<String>,
    /// The process whose CPU time counts, with --bootstrap.
    #[arg(long)]
    pid: Option<u32>,
    /// `key=value` for the created topic; ours is measured with durability=page-cache,expose=replicated, like its peers.
    #[arg(long)]
    topic_config: Vec<String>,
    /// Where the data goes; a temporary folder of the system by default.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A few hundred messages, to see that everything runs.
    #[arg(long)]
    smoke: bool,
    #[arg(long, hide = true)]
    serve_prototype: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    batch_at: usize,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if let Some(directory) = &options.serve_prototype {
        return Ok(prototype::serve(directory, options.batch_at, wire::produce_reply())?);
    }
    if options.smoke {
        options.rounds = 1;
        options.messages = 2_000;
    }
    let directory = tempfile::Builder::new().prefix("seedlog-bench").tempdir_in(match &options.data {
        Some(path) => path.clone(),
        None => std::env::temp_dir(),
    })?;
    let mut rounds = Vec::new();
    for &batch in &options.batches {
        let load = Load::new(batch, options.messages);
        for round in 0..options.rounds {
            eprint!("\rbatch {batch}: round {} of {}   ", round + 1, options.rounds);
            std::io::stderr().flush()?;
            let folder = directory.path().join(format!("{batch}-{round}"));
            rounds.push(measure(&options, &load, &folder)?);
            std::fs::remove_dir_all(&folder)?;
        }
    }
    eprintln!();
    report::print(&rounds);
    Ok(())
}

/// One round: the prototype and the broker, one after the other, each on fresh data.
fn measure(options: &Options, load: &Load, folder: &Path) -> Result<Round> {
    std::fs::create_dir_all(folder)?;
    let frame = wire::batch(load.batch, report::VALUE_BYTES);
    let (frame, batch_at) = wire::produce(&frame);
    pre_touch(folder, (frame.len() * load.requests) as u64)?;
    let (prototype_produce, prototype_fetch) = {
        let server = start_prototype(folder, batch_at)?;
        let mut client = Client::connect(&format!("127.0.0.1:{}", server.port))?;
        client.produce(&frame, load.requests / 10 + 1, load.window)?;
        let bytes = ((frame.len() - 4 - batch_at) * load.requests) as u64;
        let produce = timed(|| server.usage(), || Ok(client.produce(&frame, load.requests, load.window)?))?;
        let fetch = timed(
            || server.usage(),
            || {
                for _ in 0..report::FETCH_PASSES {
                    client.fetch_range(0, bytes)?;
                }
                Ok(())
            },
        )?;
        (produce, fetch)
    };
    let (broker_produce, broker_fetch) = match &options.bootstrap {
        Some(bootstrap) => {
            let pid = options.pid.ok_or("--bootstrap needs --pid")?;
            broker_round(options, load, &frame, bootstrap, || Usage::of(pid))?
        }
        None => {
            let server = start_broker(folder)?;
            broker_round(options, load, &frame, &format!("127.0.0.1:{}", server.port), || server.usage())?
        }
    };
    Ok(Round { load: load.clone(), prototype_produce, prototype_fetch, broker_produce, broker_fetch })
}

type Timed = (Usage, Duration);

fn broker_round(
    options: &Options,
    load: &Load,
    frame: &[u8],
    bootstrap: &str,
    usage: impl Fn() -> std::io::Result<Usage>,
) -> Result<(Timed, Timed)> {
    let mut client = Client::connect(bootstrap)?;
    let mut configs: Vec<(String, String)> = Vec::new();
    if options.bootstrap.is_none() {
        configs.push(("durability".into(), "page-cache".into()));
        configs.push(("expose".into(), "replicated".into()));
    }
    for config in &options.topic_config {
        let (key, value) = config.split_once('=').ok_or("--topic-config takes key=value")?;
        configs.push((key.to_owned(), value.to_owned()));
    }
    client.create_topic(&configs)?;
    warm_up(&mut client, frame, load)?;
    let produce = timed(&usage, || Ok(client.produce(frame, load.requests, load.window)?))?;
    let messages = (load.requests * load.batch) as u64;
    let fetch = timed(&usage, || {
        for _ in 0..report::FETCH_PASSES {
            client.fetch(0, messages)?;
        }
        Ok(())
    })?;
    Ok((produce, fetch))
}

/// The first requests may meet a leader that is still being elected.
fn warm_up(client: &mut Client, frame: &[u8], load: &Load) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = client.produce(frame, 1, 1) {
        if Instant::now() > deadline {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(client.produce(frame, load.requests / 10 + 1, load.window)?)
}

fn timed(
    usage: impl Fn() -> std::io::Result<Usage>,
    work: impl FnOnce() -> Result<()>,
) -> Result<(Usage, Duration)> {
    let before = usage()?;
    let start = Instant::now();
    work()?;
    let wall = start.elapsed();
    Ok((usage()?.since(before), wall))
}

/// Touches as much page cache as the round will write, so that fresh pages cost both servers alike.
fn pre_touch(folder: &Path, bytes: u64) -> Result<()> {
    let path = folder.join("touch");
    let mut file = std::fs::File::create(&path)?;
    let chunk = vec![1_u8; 1 << 20];
    for _ in 0..bytes.div_ceil(chunk.len() as u64) {
        file.write_all(&chunk)?;
    }
    drop(file);
    Ok(std::fs::remove_file(&path)?)
}

fn start_prototype(folder: &Path, batch_at: usize) -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--serve-prototype").arg(folder).arg("--batch-at").arg(batch_at.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let line = first_line(&mut child, |_| true)?;
    Ok(Server { port: line.trim().parse()?, child })
}

fn start_broker(folder: &Path) -> Result<Server> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedlog"));
    command.arg("dev").arg("--data").arg(folder.join("dev")).arg("--listen").arg("127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let line = first_line(&mut child, |line| line.contains("ready"))?;
    let address =
        line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).ok_or("no address printed")?;
    Ok(Server { port: address["127.0.0.1:".len()..].trim_end_matches([',', ';', '.']).parse()?, child })
}

fn first_line(child: &mut Child, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let stdout = child.stdout.take().ok_or("no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if wanted(&line) {
            return Ok(line);
        }
    }
    Err("the server ended before it was ready".into())
}
