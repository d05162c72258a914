//! Applications from outside, as the members of a group: what they miss is counted, and why is told.

use seedlog::consumer::ConsumeError;
use seedlog::consumer::membership::{Finish, GroupConfig, GroupConsumer};
use seedlog_sim::app::AppContext;
use seedlog_sim::testbed::Sweep;

/// Two members, one of which is killed in the middle of its work.
const STORY: &str = r#"format = 1
story  = "A member is killed while it works."

[cluster]
brokers = 1

[topics.orders]
partitions = 2
config     = { durability = "fsync" }

[producers.shop]
topic   = "orders"
records = 200
rate    = "50/s"
acks    = "all"

[groups.billing]
topics     = ["orders"]
consumers  = 2
processing = "40ms"
session    = "2s"

[[step]]
at = "2s"
do = "kill billing-1"
as = "dead"

[[step]]
after = "dead + 1s"
do    = "restart dead"

[expect]
except = ["never-processed"]
"#;

/// When an application commits.
#[derive(Clone, Copy)]
enum Order {
    CommitFirst,
    ProcessFirst,
}

async fn bill(context: AppContext, order: Order) -> anyhow::Result<()> {
    let config = GroupConfig { finish: Finish::Explicit, auto_commit: None, ..context.group_config() };
    let consumer = GroupConsumer::start(config).await?;
    let streams = consumer.create_message_streams([("orders".to_owned(), 1)].into()).await?;
    let mut stream = streams.into_values().flatten().next().expect("one stream was asked for");
    loop {
        let record = match stream.next().await {
            Ok(record) => record,
            Err(ConsumeError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if let Order::CommitFirst = order {
            consumer.mark_finished(&record.partition, record.offset);
            consumer.commit().await?;
        }
        context.work().await;
        context.processed(&record);
        if let Order::ProcessFirst = order {
            consumer.mark_finished(&record.partition, record.offset);
            consumer.commit().await?;
        }
    }
}

fn sweep(order: Order) -> Sweep {
    let sweep = Sweep::of_text("billing", STORY).expect("the story is well-formed");
    sweep.application("billing", move |context| bill(context, order)).seeds(0..8)
}

#[test]
fn an_application_that_commits_before_it_processes_loses_what_it_had_in_hand() {
    let report = sweep(Order::CommitFirst).run().unwrap();
    assert!(report.failures.is_empty(), "{report}");
    assert!(report.lost_records() > 0, "{report}");
    let (seed, lost) = &report.groups["billing"].examples[0];
    assert!((0..8).contains(seed) && lost.group == "billing", "{report}");
}

#[test]
fn an_application_that_processes_first_loses_nothing_and_sees_some_records_again() {
    let report = sweep(Order::ProcessFirst).run().unwrap();
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!(report.lost_records(), 0, "{report}");
    assert!(report.redelivered() > 0, "{report}");
    assert!(report.groups["billing"].processed >= report.acked, "{report}");
}

#[test]
fn one_seed_is_one_run_with_an_application_from_outside_too() {
    let hash = || sweep(Order::ProcessFirst).run_seed(3).verdict.trace_hash;
    assert_eq!(hash(), hash());
}

#[test]
fn an_application_that_nobody_runs_is_an_error_and_so_is_one_that_nobody_brought() {
    let nobody = Sweep::of_text("billing", STORY).unwrap();
    let nobody = nobody.application("shipping", |_| async { Ok(()) });
    let message = nobody.run().unwrap_err().to_string();
    assert_eq!(message, "no group runs the application `shipping`; the scenario's groups: billing");
    let story = STORY.replace("processing =", "application = \"bills\"\nprocessing =");
    let message = Sweep::of_text("billing", &story).unwrap().run().unwrap_err().to_string();
    assert_eq!(message, "the group `billing` runs the application `bills`, which nobody registered");
}

#[test]
fn an_application_that_panics_fails_its_seed() {
    let sweep = Sweep::of_text("billing", STORY).unwrap().seeds(0..1);
    let report = sweep.application("billing", |_| async { panic!("no bills today") }).run().unwrap();
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].violations[0].message.contains("no bills today"), "{report}");
}
