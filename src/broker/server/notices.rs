//! What clients ask for that is not built yet: said in the log once for each client, with what to do instead.
//!
//! Bounded: a client that calls itself something else each time fills the list, and is then not mentioned.

use std::collections::BTreeSet;

use super::context::RequestContext;
use crate::runtime::lock::Mutex;

/// Clients remembered, each with what it asked for.
const NOTICES_MAX: usize = 1_000;
/// Of a client's name, this much tells it from others.
const NAME_CHARS_MAX: usize = 64;

/// Something of Kafka's that is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NotBuilt {
    IdempotentProducer,
    Transactions,
    GroupCoordinator,
    /// An API, by its key.
    Api(i16),
}

impl NotBuilt {
    /// What to do meanwhile.
    pub fn advice(self) -> &'static str {
        match self {
            NotBuilt::IdempotentProducer => {
                "idempotent producers are not built yet: set enable.idempotence=false in the client"
            }
            NotBuilt::Transactions => "transactions are not built yet: leave transactional.id out",
            NotBuilt::GroupCoordinator => {
                "consumer groups of the Kafka protocol are not built yet: assign partitions in the client, or use \
                 Seedlog's consumer, whose groups coordinate through ZooKeeper"
            }
            NotBuilt::Api(_) => "this request is not served yet: the client's version of it, or all of it",
        }
    }
}

/// Who was told what.
#[derive(Default)]
pub(in crate::broker) struct Notices {
    told: Mutex<BTreeSet<(NotBuilt, String)>>,
}

impl Notices {
    /// Warns, the first time that this client asks for it.
    pub(super) fn tell(&self, what: NotBuilt, from: &RequestContext<'_>) {
        let name = from.client_id.map_or_else(|| from.connection.peer.ip().to_string(), str::to_owned);
        if self.is_news(what, &name) {
            tracing::warn!(client = name, peer = %from.connection.peer, advice = what.advice(), "not_built_yet");
        }
    }

    fn is_news(&self, what: NotBuilt, name: &str) -> bool {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let mut told = self.told.lock().expect("notices");
        told.len() < NOTICES_MAX && told.insert((what, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_told_each_thing_once() {
        let notices = Notices::default();

        assert!(notices.is_news(NotBuilt::IdempotentProducer, "billing"));
        assert!(!notices.is_news(NotBuilt::IdempotentProducer, "billing"));
        assert!(notices.is_news(NotBuilt::GroupCoordinator, "billing"));
        assert!(notices.is_news(NotBuilt::IdempotentProducer, "orders"));
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let notices = Notices::default();

        let news =
            (0..2 * NOTICES_MAX).filter(|number| notices.is_news(NotBuilt::Api(11), &number.to_string()));

        assert_eq!(news.count(), NOTICES_MAX);
        assert_eq!(notices.told.lock().expect("notices").len(), NOTICES_MAX);
    }
}
