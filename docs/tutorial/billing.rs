//! A consuming application in the simulated cluster: how many orders would it lose?

use seedlog::consumer::membership::{Finish, GroupConfig, GroupConsumer};
use seedlog_sim::app::AppContext;
use seedlog_sim::testbed::{Report, Sweep};

/// Writes a bill for every order. It has a mistake.
async fn billing(context: AppContext) -> anyhow::Result<()> {
    let config = GroupConfig { auto_commit: None, finish: Finish::Explicit, ..context.group_config() };
    let consumer = GroupConsumer::start(config).await?;
    let streams = consumer.create_message_streams(context.subscription()).await?;
    let mut orders = streams.into_values().flatten().next().expect("one stream");
    loop {
        let order = orders.next().await?;
        consumer.mark_finished(&order.partition, order.offset);
        consumer.commit().await?; // too early:
        context.work().await; // whoever dies here has lost an order
        context.processed(&order);
    }
}

pub fn run() -> anyhow::Result<Report> {
    Sweep::of_file("docs/tutorial/billing.toml")?.application("billing", billing).seeds(0..20).run()
}

#[allow(dead_code)] // The tutorial's test calls `run`.
pub fn main() -> anyhow::Result<()> {
    println!("{}", run()?);
    Ok(())
}
