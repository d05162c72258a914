use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::admin::{Admin, AdminConfig, AdminError, OffsetQuery};
use seedlog::producer::{Producer, ProducerConfig, ProducerRecord};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::fake_broker::{FakeBroker, PARTITIONS, TOPIC};
use super::harness::with_broker;

fn admin(broker: &FakeBroker) -> Admin {
    let timeout = Duration::from_secs(3);
    Admin::start(AdminConfig { bootstrap: broker.bootstrap(), timeout, ..AdminConfig::default() })
}

#[test]
fn topics_are_created_once_listed_and_described() {
    with_broker(|broker| async move {
        let admin = admin(&broker);
        admin.create_topic("bills", 2, 1, &BTreeMap::new()).await.expect("created");
        let again = admin.create_topic("bills", 2, 1, &BTreeMap::new()).await;
        assert_eq!(again, Err(AdminError::TopicExists("bills".to_owned())));
        assert_eq!(admin.list_topics().await, Ok(vec![TOPIC.to_owned()]));
        let described = admin.describe_topic(TOPIC).await.expect("it exists");
        assert_eq!(described.partitions.len(), PARTITIONS);
        assert_eq!(described.partitions[1].leader, Some(BrokerId(1)));
        let unknown = admin.describe_topic("nothing").await;
        assert_eq!(unknown, Err(AdminError::Unknown("nothing".to_owned())));
    });
}

#[test]
fn both_ends_of_a_log_are_found() {
    with_broker(|broker| async move {
        let producer =
            Producer::start(ProducerConfig { bootstrap: broker.bootstrap(), ..ProducerConfig::default() });
        let record = ProducerRecord {
            topic: TOPIC.to_owned(),
            partition: Some(1),
            value: Some("x".into()),
            ..Default::default()
        };
        producer.send(record).await.expect("accepted").await.expect("stored");
        let admin = admin(&broker);
        let partition = TopicPartition::new(TOPIC, 1);
        assert_eq!(admin.offset(&partition, OffsetQuery::Earliest).await, Ok(Some(Offset(0))));
        assert_eq!(admin.offset(&partition, OffsetQuery::Latest).await, Ok(Some(Offset(1))));
        let nowhere = TopicPartition::new(TOPIC, 9);
        assert_eq!(
            admin.offset(&nowhere, OffsetQuery::Latest).await,
            Err(AdminError::Unknown(nowhere.to_string()))
        );
    });
}

#[test]
fn no_broker_is_an_error_in_time() {
    with_broker(|broker| async move {
        let mut nowhere = broker.address;
        nowhere.set_port(1);
        let timeout = Duration::from_secs(1);
        let bootstrap = vec![nowhere.to_string()];
        let admin = Admin::start(AdminConfig { bootstrap, timeout, ..AdminConfig::default() });
        assert!(matches!(admin.list_topics().await, Err(AdminError::Unavailable(_))));
        let created = admin.create_topic("bills", 1, 1, &BTreeMap::new()).await;
        assert!(matches!(created, Err(AdminError::Unavailable(_))), "{created:?}");
    });
}
