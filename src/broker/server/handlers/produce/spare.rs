//! The memory of produce runs, kept from run to run.
//!
//! One run's memory a thread: a run takes it when it begins and gives it back when it ends. Where several wait for a
//! flush at once, the others allocate. What is kept is bounded: no connection holds memory for having been busy once.

use std::cell::RefCell;

use super::{Group, Lists, ProduceRun};
use crate::protocol::messages::{ProduceRequest, ProduceResponse};

/// What a run of a usual client with small batches has.
const REQUESTS_KEPT_MAX: usize = 1_024;
const ANSWERS_KEPT_MAX: usize = 4_096;
const LISTS_KEPT_MAX: usize = 16;
/// A request with more in it is not kept to decode into.
const TOPICS_KEPT_MAX: usize = 4;
const PARTITIONS_KEPT_MAX: usize = 16;
const NAME_BYTES_KEPT_MAX: usize = 249;

thread_local! {
    static SPARE: RefCell<Option<ProduceRun>> = const { RefCell::new(None) };
}

impl ProduceRun {
    /// Begins an empty run with the thread's spare memory, if it is there.
    pub(super) fn take_spare(&mut self) {
        if let Some(spare) = SPARE.take() {
            assert!(spare.is_empty() && spare.answers.is_empty(), "a run begins without another's answers");
            assert!(spare.groups.is_empty() && spare.group_of.is_empty(), "a run begins without batches");
            *self = spare;
        }
    }

    /// Forgets everything and keeps some of the memory for the thread's next run.
    pub(super) fn give_back(&mut self) {
        let mut run = std::mem::take(self);
        run.requests.truncate(REQUESTS_KEPT_MAX);
        run.requests.shrink_to(REQUESTS_KEPT_MAX);
        for received in run.requests.iter_mut().take(run.request_count) {
            received.header.client_id = None;
            if !is_kept(&received.request) {
                received.request = ProduceRequest::default();
            }
        }
        run.request_count = 0;
        run.answers.clear();
        run.answers.shrink_to(ANSWERS_KEPT_MAX);
        let room = LISTS_KEPT_MAX.saturating_sub(run.spare_lists.len());
        run.spare_lists.extend(run.groups.drain(..).take(room).map(|group: Group| group.lists));
        run.groups.shrink_to(LISTS_KEPT_MAX);
        run.spare_lists.iter_mut().for_each(Lists::clear);
        run.group_of.clear();
        run.last_group = 0;
        run.walked_bytes = 0;
        run.begun_at = None;
        if !is_response_kept(&run.response) {
            run.response = ProduceResponse::default();
        }
        SPARE.set(Some(run));
    }
}

impl Lists {
    fn clear(&mut self) {
        self.batches.clear();
        self.batches.shrink_to(REQUESTS_KEPT_MAX);
        self.slots.clear();
        self.slots.shrink_to(REQUESTS_KEPT_MAX);
    }
}

fn is_kept(request: &ProduceRequest) -> bool {
    let id_bytes = request.transactional_id.as_ref().map_or(0, String::capacity);
    let topics = &request.topic_data;
    topics.len() <= TOPICS_KEPT_MAX
        && id_bytes <= NAME_BYTES_KEPT_MAX
        && topics.iter().all(|topic| {
            topic.partition_data.len() <= PARTITIONS_KEPT_MAX && topic.name.capacity() <= NAME_BYTES_KEPT_MAX
        })
}

/// By capacity: a run fills the same response for one request after the other.
fn is_response_kept(response: &ProduceResponse) -> bool {
    let topics = &response.responses;
    topics.capacity() <= 2 * TOPICS_KEPT_MAX
        && topics.iter().all(|topic| {
            topic.partition_responses.capacity() <= 2 * PARTITIONS_KEPT_MAX
                && topic.name.capacity() <= NAME_BYTES_KEPT_MAX
        })
}
