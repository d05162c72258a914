use std::time::Duration;

use seedlog::client::{Connection, ConnectionConfig, RequestError};
use seedlog::protocol::messages::{FetchRequest, ListOffsetsRequest, MetadataRequest};

use super::fake_broker::{FakeBroker, Mood};
use super::harness::with_broker;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> ConnectionConfig {
    ConnectionConfig { client_id: "test".into(), connect_timeout: SECOND, response_bytes_max: 1 << 20 }
}

async fn connect(broker: &FakeBroker) -> Connection {
    Connection::connect(&broker.address.to_string(), &config()).await.expect("the broker listens")
}

#[test]
fn pipelined_requests_are_answered_in_order_and_an_early_answer_waits_for_none() {
    with_broker(|broker| async move {
        let connection = connect(&broker).await;
        broker.state().moods.push_back(Mood::Late(Duration::from_millis(50)));
        let deadline = seedlog::runtime::clock::now() + SECOND;
        let slow = connection.begin(&ListOffsetsRequest::default(), deadline).expect("open");
        let quick = connection.begin(&MetadataRequest::default(), deadline).expect("open");
        let (slow, quick) = tokio::join!(slow, quick);
        assert!(slow.is_ok());
        assert_eq!(quick.expect("an answer").brokers.len(), 1);
    });
}

#[test]
fn a_broker_that_does_not_know_our_versions_is_spoken_to_in_its_own() {
    with_broker(|broker| async move {
        broker.state().is_old = true;
        let connection = connect(&broker).await;
        let answer = connection.call(&MetadataRequest::default(), SECOND).await;
        assert_eq!(answer.expect("an answer").brokers.len(), 1);
    });
}

#[test]
fn a_request_without_an_answer_in_time_closes_the_connection_and_may_have_had_an_effect() {
    with_broker(|broker| async move {
        let connection = connect(&broker).await;
        broker.state().moods.push_back(Mood::Silence);
        let now = seedlog::runtime::clock::now();
        let long = connection.begin(&MetadataRequest::default(), now + 10 * SECOND).expect("open");
        assert!(long.await.is_ok());
        let short = connection.begin(&FetchRequest::default(), now + SECOND).expect("open");
        let behind = connection.begin(&MetadataRequest::default(), now + 10 * SECOND).expect("open");
        for lost in [short.await.err(), behind.await.err()] {
            assert!(lost.is_some_and(|error| error.may_have_effect()));
        }
        assert!(!connection.is_open());
        let refused = connection.call(&MetadataRequest::default(), SECOND).await;
        assert!(matches!(refused, Err(RequestError::NotSent(_))), "{refused:?}");
    });
}

#[test]
fn a_question_given_up_leaves_the_connection_to_the_requests_that_wait() {
    with_broker(|broker| async move {
        let connection = connect(&broker).await;
        broker.state().moods.push_back(Mood::Late(3 * SECOND));
        let deadline = seedlog::runtime::clock::now() + 10 * SECOND;
        let slow = connection.begin(&ListOffsetsRequest::default(), deadline).expect("open");
        let question = connection.ask(&MetadataRequest::default(), SECOND, 10 * SECOND).await;
        assert!(matches!(question, Err(RequestError::Lost(_))), "{question:?}");
        assert!(slow.await.is_ok());
        // The late response to the question is passed over.
        assert!(connection.call(&MetadataRequest::default(), SECOND).await.is_ok());
    });
}

#[test]
fn a_question_given_up_ends_a_connection_on_which_nobody_else_waits() {
    with_broker(|broker| async move {
        let connection = connect(&broker).await;
        broker.state().moods.push_back(Mood::Silence);
        let question = connection.ask(&ListOffsetsRequest::default(), SECOND, 10 * SECOND).await;
        assert!(question.is_err());
        assert!(!connection.is_open());
    });
}

#[test]
fn a_connection_that_the_broker_closes_fails_what_is_outstanding() {
    with_broker(|broker| async move {
        let connection = connect(&broker).await;
        broker.state().moods.push_back(Mood::CloseBefore);
        let lost = connection.call(&FetchRequest::default(), SECOND).await;
        assert!(matches!(lost, Err(RequestError::Lost(_))), "{lost:?}");
    });
}

#[test]
fn nobody_listening_is_an_error_in_time() {
    with_broker(|broker| async move {
        let mut nowhere = broker.address;
        nowhere.set_port(1);
        let refused = Connection::connect(&nowhere.to_string(), &config()).await;
        assert!(refused.is_err());
        assert!(Connection::connect("no port", &config()).await.is_err());
    });
}
