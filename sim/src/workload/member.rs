//! A member of a consumer group: the application that runs on its node, or the testbed's own.
//!
//! The testbed's own application works on one record of each stream at a time and says when it is done with it;
//! it does nothing that would hide a fault of the library: whatever goes wrong ends its process.

use std::sync::Arc;

use anyhow::bail;
use seedlog::consumer::membership::{GroupConsumer, MessageStream};
use seedlog::consumer::{ConsumeError, ConsumedRecord, StartPosition};
use seedlog::runtime::clock;
use seedlog::runtime::task::{Lane, TaskGroup};
use tokio::sync::mpsc;

use super::client::PAUSE;
use crate::app::{AppContext, Application, Place};
use crate::scenario::{Commit, Finish};

/// One incarnation of a member's process.
pub(super) async fn live(place: Place, application: Option<Arc<dyn Application>>) {
    place.shared.begin(&place.member);
    let context = AppContext::new(place);
    let ended = match application {
        Some(application) => application.run(context.clone()).await,
        None => consume(context.clone()).await,
    };
    if let Err(error) = ended {
        context.report(format!("its process ended: {error:#}"));
    }
}

/// The testbed's own application: a task for each stream, until it is asked to leave.
async fn consume(context: AppContext) -> anyhow::Result<()> {
    let consumer = Arc::new(GroupConsumer::start(context.group_config()).await?);
    let streams = consumer.create_message_streams(context.subscription()).await?;
    let tasks = TaskGroup::new(Lane::Data);
    let (ends, mut ended) = mpsc::channel(1);
    for stream in streams.into_values().flatten() {
        let worker = Worker { context: context.clone(), consumer: Arc::clone(&consumer), uncommitted: 0 };
        let ends = ends.clone();
        tasks.spawn("member-stream", async move {
            let error = worker.work_off(stream).await;
            // Nobody listens where another stream's end came first.
            let _unheard = ends.send(error).await;
        });
    }
    tokio::select! {
        biased;
        () = context.asked_to_leave() => {}
        error = ended.recv() => bail!("a stream ended: {error:?}"),
    }
    // What is under way is not finished, and another member's from now on.
    tasks.abort_all();
    consumer.close().await?;
    Ok(())
}

/// Works off one stream.
struct Worker {
    context: AppContext,
    consumer: Arc<GroupConsumer>,
    /// Records finished since the last commit.
    uncommitted: u64,
}

impl Worker {
    /// Goes on until the stream ends, and says why it did.
    async fn work_off(mut self, mut stream: MessageStream) -> ConsumeError {
        loop {
            match stream.next().await {
                Ok(record) => self.handle(&record).await,
                // With `reset = "none"` it is the application that says where to begin.
                Err(ConsumeError::NoPosition { partition }) => {
                    self.consumer.seek(&partition, StartPosition::Earliest);
                }
                Err(ConsumeError::OutOfRange { partition, offset }) => {
                    self.context.report(format!("{partition} has no offset {offset}"));
                    self.consumer.seek(&partition, StartPosition::Earliest);
                }
                Err(error) => return error,
            }
        }
    }

    async fn handle(&mut self, record: &ConsumedRecord) {
        let plan = &self.context.plan;
        let (commits, marks) = (plan.commit, plan.finish == Finish::Explicit);
        if commits == Commit::BeforeProcessing {
            self.consumer.mark_finished(&record.partition, record.offset);
            self.commit().await;
        }
        self.context.work().await;
        self.context.processed(record);
        if marks {
            self.consumer.mark_finished(&record.partition, record.offset);
        }
        self.uncommitted += 1;
        if commits == Commit::Manual && self.uncommitted >= self.context.plan.commit_records {
            self.commit().await;
            self.uncommitted = 0;
        }
    }

    async fn commit(&self) {
        if let Err(error) = self.consumer.commit().await {
            self.context.report(format!("could not commit: {error}"));
            clock::sleep(PAUSE).await;
        }
    }
}
