#[cfg(feature = "real-runtime")]
#[test]
fn an_ordinary_thread_iterates_over_messages() {
    use seedlog::consumer::blocking::Messages;
    use seedlog::consumer::{ConsumerConfig, StartPosition};
    use seedlog::producer::{Producer, ProducerConfig, ProducerRecord};
    use seedlog::runtime::task;
    use seedlog::types::{Offset, TopicPartition};

    use super::fake_broker::TOPIC;
    use super::harness::with_broker;

    with_broker(|broker| async move {
        let producer =
            Producer::start(ProducerConfig { bootstrap: broker.bootstrap(), ..ProducerConfig::default() });
        for _ in 0..10 {
            let topic = TOPIC.to_owned();
            let record = ProducerRecord { topic, partition: Some(0), ..ProducerRecord::default() };
            producer.send(record).await.expect("accepted");
        }
        producer.close().await;
        let bootstrap = broker.bootstrap();
        let offsets = task::blocking(move || {
            let assignment = vec![(TopicPartition::new(TOPIC, 0), StartPosition::Earliest)];
            let config = ConsumerConfig { bootstrap, ..ConsumerConfig::default() };
            let messages = Messages::start(config, assignment);
            let offsets = messages.take(10).map(|message| message.expect("nothing is stuck").offset);
            offsets.collect::<Vec<Offset>>()
        });
        assert_eq!(offsets.await, (0..10).map(Offset).collect::<Vec<_>>());
    });
}

#[cfg(not(feature = "real-runtime"))]
#[test]
#[should_panic(expected = "use the async interface")]
fn a_simulated_node_has_no_thread_that_may_wait() {
    use seedlog::consumer::ConsumerConfig;
    use seedlog::consumer::blocking::Messages;

    Messages::start(ConsumerConfig::default(), Vec::new());
}
