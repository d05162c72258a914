//! A broker that lies to its clients: lengths, counts, correlations, versions, half a response, offsets and addresses
//! that make no sense. Nothing panics, everything ends in its time, and an honest broker is found in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use seedlog::admin::{Admin, AdminConfig};
use seedlog::client::{Cluster, ClusterConfig};
use seedlog::producer::{Producer, ProducerConfig, ProducerRecord, SendError};
use seedlog::protocol::messages::*;
use seedlog::protocol::{
    ApiKey, ErrorCode, Message, Request, RequestHeader, api_versions_response, decode_request, frame,
};
use seedlog::runtime::net::{Listener, Stream};
use seedlog::runtime::task::{Lane, TaskGroup};
use seedlog::runtime::{Segment, clock};
use seedlog::types::TopicPartition;

use super::fake_broker::{self, FakeBroker, TOPIC};
use super::harness::{own_ip, with_broker};

const LIES: usize = 12;
const FRAME_BYTES_MAX: usize = 1 << 20;
/// Longer than any question to a liar takes.
const LIE_TIME_MAX: Duration = Duration::from_secs(20);

/// What is sent in place of the response to a request.
fn lie(number: usize, header: &RequestHeader) -> Bytes {
    let mut out = BytesMut::new();
    let framed = |body: &[u8]| {
        let mut out = BytesMut::new();
        out.put_i32(body.len() as i32);
        out.put_slice(body);
        out.freeze()
    };
    let answering = |rest: &[u8]| {
        let mut body = header.correlation_id.to_be_bytes().to_vec();
        body.extend_from_slice(rest);
        framed(&body)
    };
    match number {
        0 => out.put_i32(i32::MAX),
        1 => out.put_i32(-1),
        2 => return framed(&header.correlation_id.wrapping_add(1).to_be_bytes()),
        3 => return framed(&[]),
        4 => return framed(&[1, 2]),
        5 => return answering(&[]),
        6 => return answering(&[0xff; 64]),
        // Counts: of plain arrays and of compact ones.
        7 => return answering(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
        8 => return answering(&[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        // A long response of which the end never comes.
        9 => {
            out.put_i32(1 << 20);
            out.put_i32(header.correlation_id);
            out.put_bytes(0, 4_000);
        }
        // An answer nobody asked for behind the right one.
        10 => {
            out.put_slice(&answering(&[0; 32]));
            out.put_slice(&answering(&[0; 32]));
        }
        _ => return answering(&[0; 4_096]),
    }
    out.freeze()
}

fn encoded<M: Message>(api: ApiKey, header: &RequestHeader, response: &M) -> Vec<Segment> {
    vec![fake_broker::encoded(api, header.api_version, header.correlation_id, response)]
}

/// Agrees on versions (even with a lie, each second time it comes to that), then tells the connection's lie.
async fn serve(stream: Stream, connection: usize) {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    loop {
        while let Some(request) = frame::next_frame(&mut buffer, FRAME_BYTES_MAX).expect("our frames") {
            let Ok((header, request)) = decode_request(request) else { return };
            let is_lie = !matches!(request, Request::ApiVersions(_)) || connection.is_multiple_of(2);
            let mut segments = match is_lie {
                true => vec![Segment::Bytes(lie(connection / 2 % LIES, &header))],
                false => encoded(ApiKey::ApiVersions, &header, &api_versions_response(ErrorCode::NONE)),
            };
            if writer.send(&mut segments).await.is_err() {
                return;
            }
        }
        match reader.read(&mut buffer, 64 << 10).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

#[test]
fn clients_survive_a_broker_that_lies_and_find_an_honest_one() {
    with_broker(|honest| async move {
        let listener = Listener::bind(SocketAddr::new(own_ip(), 0)).await.expect("a port is free");
        let liar = SocketAddr::new(own_ip(), listener.local_address().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let tasks = TaskGroup::new(Lane::Data);
        tasks.spawn("liar", async move {
            let serving = TaskGroup::new(Lane::Data);
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn("liar-connection", serve(stream, counted.fetch_add(1, Ordering::SeqCst)));
            }
        });
        let config = |bootstrap: Vec<String>| AdminConfig {
            bootstrap,
            timeout: Duration::from_millis(500),
            ..AdminConfig::default()
        };
        while connections.load(Ordering::SeqCst) < 2 * 2 * LIES {
            let admin = Admin::start(config(vec![liar.to_string()]));
            let listed = clock::timeout(LIE_TIME_MAX, admin.list_topics()).await.expect("it ends");
            // Zeroes may read as a cluster with nothing in it.
            assert!(listed.as_ref().is_ok_and(Vec::is_empty) || listed.is_err(), "{listed:?}");
        }
        let mixed = Admin::start(config(vec![liar.to_string(), honest.address.to_string()]));
        let mut found = mixed.describe_topic(TOPIC).await;
        for _ in 0..50 {
            if found.is_ok() {
                break;
            }
            found = mixed.describe_topic(TOPIC).await;
        }
        assert_eq!(found.expect("the honest one is found").name, TOPIC);
    });
}

/// Addresses, leaders, partitions and offsets that make no sense.
async fn serve_nonsense(stream: Stream, liar: SocketAddr, variant: usize) {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    loop {
        while let Some(request) = frame::next_frame(&mut buffer, FRAME_BYTES_MAX).expect("our frames") {
            let (header, request) = decode_request(request).expect("our clients are honest");
            let api = header.api_key;
            let mut segments = match request {
                Request::ApiVersions(_) => encoded(api, &header, &api_versions_response(ErrorCode::NONE)),
                Request::Metadata(_) => encoded(api, &header, &nonsense(liar, variant)),
                Request::Produce(request) => encoded(api, &header, &stored_beyond_the_end(&request)),
                _ => return,
            };
            if writer.send(&mut segments).await.is_err() {
                return;
            }
        }
        match reader.read(&mut buffer, 64 << 10).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn nonsense(liar: SocketAddr, variant: usize) -> MetadataResponse {
    let broker = |node_id, host: &str, port| MetadataResponseBroker {
        node_id,
        host: host.to_owned(),
        port,
        rack: None,
    };
    let ip = liar.ip().to_string();
    let brokers = match variant {
        0 => vec![],
        1 => vec![broker(-7, "", -1), broker(i32::MAX, "::::", i32::MAX)],
        2 => (0..5_000).map(|id| broker(id, &ip, 1)).collect(),
        _ => vec![broker(1, "elsewhere", 0), broker(1, &ip, i32::from(liar.port()))],
    };
    let partition = |partition_index, leader_id| MetadataResponsePartition {
        partition_index,
        leader_id,
        leader_epoch: i32::MIN,
        replica_nodes: vec![-1; 100],
        ..Default::default()
    };
    let partitions = match variant {
        0 => vec![partition(0, 99)],
        1 => vec![partition(-1, i32::MAX), partition(i32::MIN, i32::MIN)],
        2 => (0..5_000).map(|index| partition(index, index)).collect(),
        _ => vec![partition(0, 1)],
    };
    let topic = MetadataResponseTopic { name: Some(TOPIC.to_owned()), partitions, ..Default::default() };
    let nameless = MetadataResponseTopic { name: None, ..Default::default() };
    MetadataResponse { brokers, controller_id: i32::MIN, topics: vec![nameless, topic], ..Default::default() }
}

fn stored_beyond_the_end(request: &ProduceRequest) -> ProduceResponse {
    let topics = request.topic_data.iter().map(|topic| {
        let answers = topic.partition_data.iter().flat_map(|data| {
            let answer =
                |index, base_offset| PartitionProduceResponse { index, base_offset, ..Default::default() };
            // A partition nobody asked about, and this one twice.
            [answer(i32::MAX, 3), answer(data.index, i64::MIN), answer(data.index, i64::MAX)]
        });
        TopicProduceResponse { name: topic.name.clone(), partition_responses: answers.collect() }
    });
    ProduceResponse { responses: topics.collect(), throttle_time_ms: i32::MIN }
}

#[test]
fn a_cluster_that_makes_no_sense_confirms_nothing_and_ends_in_time() {
    with_broker(|_: Arc<FakeBroker>| async move {
        for variant in 0..4 {
            let listener = Listener::bind(SocketAddr::new(own_ip(), 0)).await.expect("a port is free");
            let liar = SocketAddr::new(own_ip(), listener.local_address().port());
            let tasks = TaskGroup::new(Lane::Data);
            tasks.spawn("liar", async move {
                let serving = TaskGroup::new(Lane::Data);
                while let Ok((stream, _)) = listener.accept().await {
                    serving.spawn("liar-connection", serve_nonsense(stream, liar, variant));
                }
            });
            let bootstrap = vec![liar.to_string()];
            let producer = Producer::start(ProducerConfig {
                bootstrap: bootstrap.clone(),
                delivery_timeout: Duration::from_secs(3),
                request_timeout: Duration::from_secs(1),
                metadata_timeout: Duration::from_secs(1),
                ..ProducerConfig::default()
            });
            let sent = async {
                for _ in 0..3 {
                    let value = Some(Bytes::from_static(b"v"));
                    let record = ProducerRecord { topic: TOPIC.to_owned(), value, ..Default::default() };
                    match producer.send(record).await {
                        Ok(delivery) => {
                            let outcome = delivery.await;
                            assert!(outcome.is_err(), "{outcome:?}");
                        }
                        Err(error) => assert!(matches!(error, SendError::Failed(_) | SendError::NoBroker(_))),
                    }
                }
            };
            clock::timeout(LIE_TIME_MAX, sent).await.expect("each outcome comes in its time");
            producer.close().await;
            let cluster = Cluster::new(ClusterConfig::new(bootstrap, "tool", Duration::from_secs(1)));
            cluster.track(&TOPIC.into());
            cluster.refresh().await.expect("it answers");
            let led = cluster.leader(&TopicPartition::new(TOPIC, 0));
            if let Some(leader) = led {
                let connected = cluster.connection(leader.broker).await;
                assert!(connected.is_ok() || variant != 3, "variant {variant}: {:?}", connected.err());
            }
        }
    });
}
