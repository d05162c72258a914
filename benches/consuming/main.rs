//! What a consumer costs per record: CPU time of its process, with the broker and ZooKeeper in another one.
//!
//! Method: `docs/performance.md`. Never a timed test: it prints, it does not judge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A program of its own beside the broker.

#[path = "../end_to_end/usage.rs"]
mod usage;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use seedlog::admin::{Admin, AdminConfig};
use seedlog::broker::Broker;
use seedlog::broker::config::{BrokerConfig, TextList};
use seedlog::consumer::membership::{Finish, GroupConfig, GroupConsumer};
use seedlog::consumer::{AutoReset, Consumer, ConsumerConfig, StartPosition};
use seedlog::producer::{Partitioner, Producer, ProducerConfig, ProducerRecord};
use seedlog::runtime::{clock, task};
use seedlog::types::TopicPartition;
use seedlog::zk_sim::{Server, ServerConfig};
use seedlog::zookeeper::ZooKeeperConfig;

use usage::Usage;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TOPIC: &str = "measured";
const PARTITIONS: i32 = 4;
const VALUE_BYTES: usize = 100;
/// Deliveries that are not yet known to be stored, while the topic is filled.
const IN_FLIGHT_MAX: usize = 10_000;

/// Records a second and CPU time per record of one consumer.
#[derive(Parser, Clone)]
struct Options {
    /// Rounds of each way to consume, one after the other.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// All of them unless given.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Way>,
    /// A few hundred records, to see that everything runs.
    #[arg(long)]
    smoke: bool,
    #[arg(long, hide = true)]
    serve: bool,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A stream of a group, records finished by asking for the next one.
    Stream,
    /// A stream of a group, every record marked.
    Marks,
    /// `next` of a consumer without a group.
    Next,
    /// `poll` of a consumer without a group.
    Poll,
}

/// Where the broker and ZooKeeper listen.
struct Place {
    bootstrap: String,
    zookeeper: String,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.serve {
        return task::block_on(serve());
    }
    if options.smoke {
        options.rounds = 1;
        options.records = 2_000;
    }
    if options.ways.is_empty() {
        options.ways = Way::value_variants().to_vec();
    }
    let (mut servers, place) = start_servers()?;
    let measured = task::block_on(measure(&options, &place));
    drop(servers.stdin.take());
    servers.wait()?;
    report(&options, &measured?);
    Ok(())
}

/// The other process: lives until its standard input ends.
async fn serve() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let zookeeper = Server::start(ServerConfig::new(any, Duration::from_millis(500))).await?;
    let config = BrokerConfig {
        broker_id: Some(1),
        listen: any.to_string(),
        data_dir: Some(folder.path().display().to_string()),
        zookeeper_servers: TextList(vec![zookeeper.address().to_string()]),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config.check()?).await?;
    println!("{} {}", broker.address(), zookeeper.address());
    task::blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await?;
    broker.shutdown().await.expect("the disk is well");
    Ok(())
}

fn start_servers() -> Result<(Child, Place)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let (bootstrap, zookeeper) = line.trim().split_once(' ').ok_or("the servers did not start")?;
    let place = Place { bootstrap: bootstrap.to_owned(), zookeeper: zookeeper.to_owned() };
    Ok((child, place))
}

struct Round {
    way: Way,
    wall: Duration,
    usage: Usage,
}

async fn measure(options: &Options, place: &Place) -> Result<Vec<Round>> {
    fill(place, options.records).await?;
    let mut rounds = Vec::new();
    for number in 0..options.rounds {
        for &way in &options.ways {
            eprint!("\rround {} of {}: {way:?}     ", number + 1, options.rounds);
            std::io::stderr().flush()?;
            rounds.push(round(options, place, way, number).await?);
        }
    }
    eprintln!();
    Ok(rounds)
}

/// Stores the records, evenly over the partitions.
async fn fill(place: &Place, records: usize) -> Result<()> {
    let bootstrap = vec![place.bootstrap.clone()];
    let admin = Admin::start(AdminConfig { bootstrap: bootstrap.clone(), ..AdminConfig::default() });
    let config = BTreeMap::from([("durability".to_owned(), "page-cache".to_owned())]);
    admin.create_topic(TOPIC, PARTITIONS, 1, &config).await?;
    let producer = Producer::start(ProducerConfig {
        bootstrap,
        partitioner: Partitioner::RoundRobin,
        ..ProducerConfig::default()
    });
    let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
    let mut deliveries = std::collections::VecDeque::new();
    for _ in 0..records {
        let value = Some(value.clone());
        let record = ProducerRecord { topic: TOPIC.to_owned(), value, ..ProducerRecord::default() };
        deliveries.push_back(producer.send(record).await?);
        if deliveries.len() == IN_FLIGHT_MAX
            && let Some(oldest) = deliveries.pop_front()
        {
            oldest.await?;
        }
    }
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close().await;
    Ok(())
}

fn consumer_config(place: &Place) -> ConsumerConfig {
    ConsumerConfig { bootstrap: vec![place.bootstrap.clone()], ..ConsumerConfig::default() }
}

async fn round(options: &Options, place: &Place, way: Way, number: usize) -> Result<Round> {
    match way {
        Way::Stream | Way::Marks => in_group(options, place, way, number).await,
        Way::Next | Way::Poll => alone(options, place, way).await,
    }
}

async fn in_group(options: &Options, place: &Place, way: Way, number: usize) -> Result<Round> {
    let zookeeper = ZooKeeperConfig {
        servers: vec![place.zookeeper.clone()],
        session_timeout: Duration::from_secs(6),
        connect_timeout: Duration::from_secs(2),
    };
    let config = GroupConfig {
        reset: AutoReset::Earliest,
        finish: if way == Way::Marks { Finish::Explicit } else { Finish::OnNext },
        ..GroupConfig::new(&format!("{way:?}-{number}"), consumer_config(place), zookeeper)
    };
    let consumer = GroupConsumer::start(config).await?;
    let streams = consumer.create_message_streams(BTreeMap::from([(TOPIC.to_owned(), 1)])).await?;
    let mut stream = streams.into_values().flatten().next().ok_or("no stream")?;
    stream.next().await?;
    let (start, before) = (Instant::now(), Usage::of(std::process::id())?);
    for _ in 1..options.records {
        let record = stream.next().await?;
        if way == Way::Marks {
            stream.mark_finished(&record.partition, record.offset);
        }
    }
    let usage = Usage::of(std::process::id())?.since(before);
    let round = Round { way, wall: start.elapsed(), usage };
    consumer.close().await?;
    Ok(round)
}

async fn alone(options: &Options, place: &Place, way: Way) -> Result<Round> {
    let mut consumer = Consumer::start(consumer_config(place));
    let partitions = (0..PARTITIONS).map(|number| TopicPartition::new(TOPIC, number));
    consumer.assign(partitions.map(|partition| (partition, StartPosition::Earliest)).collect());
    consumer.next().await?;
    let (start, before) = (Instant::now(), Usage::of(std::process::id())?);
    let mut read = 1;
    while read < options.records {
        read += match way {
            Way::Next => consumer.next().await.map(|_| 1)?,
            _ => consumer.poll(Duration::from_secs(1)).await?.len(),
        };
    }
    let usage = Usage::of(std::process::id())?.since(before);
    let round = Round { way, wall: start.elapsed(), usage };
    consumer.close().await;
    clock::sleep(Duration::from_millis(10)).await;
    Ok(round)
}

fn report(options: &Options, rounds: &[Round]) {
    let records = options.records as f64;
    println!(
        "{} records of {VALUE_BYTES} bytes, {PARTITIONS} partitions; median [minimum] of {} rounds",
        options.records, options.rounds
    );
    println!("way     records/s   CPU ns a record   user   system");
    for &way in &options.ways {
        let own: Vec<&Round> = rounds.iter().filter(|round| round.way == way).collect();
        let median = |value: &dyn Fn(&Round) -> f64| {
            let mut values: Vec<f64> = own.iter().map(|round| value(round)).collect();
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0])
        };
        let (seconds, _) = median(&|round| round.wall.as_secs_f64());
        let (total, least) = median(&|round| round.usage.total_s() * 1e9 / records);
        let (user, _) = median(&|round| round.usage.user_s * 1e9 / records);
        let (system, _) = median(&|round| round.usage.system_s * 1e9 / records);
        println!(
            "{:<7} {:>9.0} {total:>10.0} [{least:.0}] {user:>9.0} {system:>8.0}",
            format!("{way:?}").to_lowercase(),
            records / seconds
        );
    }
}
