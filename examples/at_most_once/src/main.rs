//! How many orders would we lose? A consuming application in the simulated cluster, with a mistake and without.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, bail};
use seedlog::consumer::membership::{Finish, GroupConfig, GroupConsumer};
use seedlog_sim::app::AppContext;
use seedlog_sim::testbed::{Report, Sweep};

/// When the application says that it is done with an order.
#[derive(Clone, Copy, PartialEq)]
enum Commit {
    /// The mistake: a crash between the commit and the work loses the order.
    First,
    /// A crash between the work and the commit repeats the order.
    Last,
}

/// Writes a bill for every order.
async fn billing(context: AppContext, commit: Commit) -> anyhow::Result<()> {
    let config = GroupConfig { auto_commit: None, finish: Finish::Explicit, ..context.group_config() };
    let consumer = GroupConsumer::start(config).await?;
    let topics = BTreeMap::from([("orders".to_owned(), 1)]);
    let mut streams = consumer.create_message_streams(topics).await?;
    let mut orders = streams.remove("orders").and_then(|mut list| list.pop()).context("no stream")?;
    loop {
        let order = tokio::select! {
            biased;
            () = context.asked_to_leave() => break,
            order = orders.next() => order?,
        };
        if commit == Commit::First {
            consumer.mark_finished(&order.partition, order.offset);
            consumer.commit().await?;
        }
        context.work().await;
        context.processed(&order);
        if commit == Commit::Last {
            consumer.mark_finished(&order.partition, order.offset);
            consumer.commit().await?;
        }
    }
    consumer.close().await?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let seeds = seeds(std::env::args().skip(1).collect())?;
    let careless = run(Commit::First, &seeds)?;
    tell("commits before it works", &careless);
    let lost = careless.groups["billing"].examples.first();
    if let Some((seed, lost)) = lost {
        println!("  e.g. {}@{} in seed {seed}: cargo seedlog run -- --seed {seed}", lost.partition, lost.offset);
    }
    let careful = run(Commit::Last, &seeds)?;
    tell("works before it commits", &careful);
    if careful.lost_records() > 0 {
        bail!("the careful application lost records:\n{careful}");
    }
    if careless.lost_records() == 0 && seeds.end - seeds.start > 1 {
        bail!("the careless application lost nothing: these seeds prove nothing\n{careless}");
    }
    Ok(())
}

fn run(commit: Commit, seeds: &Range<u64>) -> anyhow::Result<Report> {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/billing.toml");
    Sweep::of_file(scenario)?.application("billing", move |context| billing(context, commit)).seeds(seeds.clone()).run()
}

fn tell(what: &str, report: &Report) {
    let group = &report.groups["billing"];
    println!(
        "An application that {what} loses {} of {} acknowledged records, in {} of {} seeds; {} came again.",
        group.lost_records, report.acked, group.seeds_with_loss, report.seeds, group.processed_again
    );
}

/// `--seeds N` for the first N, `--seed S` for one alone.
fn seeds(args: Vec<String>) -> anyhow::Result<Range<u64>> {
    let number = |text: &String| text.parse::<u64>().with_context(|| format!("`{text}` is no number"));
    match args.as_slice() {
        [] => Ok(0..200),
        [flag, count] if flag == "--seeds" => Ok(0..number(count)?),
        [flag, seed] if flag == "--seed" => Ok(number(seed)?..number(seed)? + 1),
        _ => bail!("usage: at_most_once [--seeds N | --seed S]"),
    }
}
