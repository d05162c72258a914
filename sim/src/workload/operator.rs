//! Watches over the brokers as an operator does: now and then reads one's `/metrics` and `/health`, and what it and its
//! topics are configured to, in the storm too.
//!
//! What a page says by itself is judged here: that it is whole, that buckets add up. What it says of the logs is stated
//! as a fact.

mod configs;
mod page;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::admin::{Admin, AdminConfig, ConfigResource};
use seedlog::facts::{self, Appends, Fact, LogEnds};
use seedlog::runtime::{Segment, clock, net, rng};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use self::page::Page;
use super::client::{Context, REQUEST_TIMEOUT};

/// Between two looks, at most.
const PAUSE_MS_MAX: u64 = 3_000;
/// A larger page is none of a broker with a few partitions.
const PAGE_BYTES_MAX: usize = 4 << 20;
const READ_BYTES: usize = 64 << 10;
/// What every page has, whatever the broker did so far.
const FAMILIES: [(&str, &str); 10] = [
    ("seedlog_build_info", "gauge"),
    ("seedlog_requests_total", "counter"),
    ("seedlog_produce_seconds", "histogram"),
    ("seedlog_fetch_seconds", "histogram"),
    ("seedlog_flush_seconds", "histogram"),
    ("seedlog_partitions", "gauge"),
    ("seedlog_registered", "gauge"),
    ("seedlog_limit_used", "gauge"),
    ("seedlog_group_lag_left_out", "gauge"),
    ("seedlog_metrics_partitions_left_out", "gauge"),
];

struct Answer {
    status: u16,
    body: String,
}

/// Where a broker's pages are.
#[derive(Clone)]
pub(super) struct Site {
    pub broker: BrokerId,
    pub host: String,
    pub port: u16,
}

/// Topics with their own settings.
pub(super) type Configs = BTreeMap<String, BTreeMap<String, String>>;

/// Goes on for as long as the run does.
pub(super) async fn operate(context: Context, sites: Vec<Site>, configs: Arc<Configs>) {
    let admin = Admin::start(AdminConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        timeout: REQUEST_TIMEOUT,
    });
    let mut draws = rng::stream("operator");
    while !context.shared.has_storm_begun() {
        clock::sleep(super::client::PAUSE).await;
    }
    loop {
        clock::sleep(Duration::from_millis(draws.below(PAUSE_MS_MAX))).await;
        let site = &sites[draws.below(sites.len() as u64) as usize];
        match draws.below(4) {
            0 => ask_health(&context, site).await,
            1 => {
                let broker = ConfigResource::Broker(site.broker);
                check_configs(&context, &admin, &broker, &BTreeMap::new()).await;
                let Some((topic, own)) = configs.iter().nth(draws.below(configs.len() as u64) as usize)
                else {
                    continue;
                };
                check_configs(&context, &admin, &ConfigResource::Topic(topic.clone()), own).await;
            }
            _ => read_metrics(&context, site).await,
        }
    }
}

async fn check_configs(
    context: &Context,
    admin: &Admin,
    resource: &ConfigResource,
    own: &BTreeMap<String, String>,
) {
    if let Err(problem) = configs::check(admin, resource, own).await {
        let reason = format!("the settings of {resource:?}: {problem}");
        facts::record(|| Fact::WrongReply { client: context.name.clone(), partition: None, reason });
    }
}

async fn read_metrics(context: &Context, site: &Site) {
    let (client, broker) = (context.name.clone(), site.broker);
    facts::record(|| Fact::MetricsAsked { client: client.clone(), broker });
    // Who does not answer is not judged: it may be down, or cut off.
    let Ok(answer) = get(site, "/metrics").await else { return };
    let read = is_ok(&answer).and_then(|()| Page::parse(&answer.body)).and_then(|page| {
        page.judge(&FAMILIES)?;
        Ok((log_ends(&page)?, appended(&page)?))
    });
    facts::record(|| match read {
        Ok((logs, appended)) => Fact::MetricsRead { client, broker, logs, appended },
        Err(reason) => Fact::WrongReply {
            client,
            partition: None,
            reason: format!("/metrics of broker {broker}: {reason}"),
        },
    });
}

async fn ask_health(context: &Context, site: &Site) {
    let Ok(answer) = get(site, "/health").await else { return };
    let (client, broker) = (context.name.clone(), site.broker);
    let problems: Vec<String> = answer.body.lines().map(str::to_owned).collect();
    facts::record(|| match answer.status {
        200 if answer.body == "ok\n" => Fact::HealthRead { client, broker, problems: Vec::new() },
        503 if !problems.is_empty() => Fact::HealthRead { client, broker, problems },
        status => {
            let reason = format!("/health of broker {broker} answers {status}: {}", answer.body);
            Fact::WrongReply { client, partition: None, reason }
        }
    });
}

fn is_ok(answer: &Answer) -> Result<(), String> {
    if answer.status == 200 { Ok(()) } else { Err(format!("answers {}", answer.status)) }
}

/// What the page says of every log. An error: it says one thing of a log and not another.
fn log_ends(page: &Page) -> Result<Vec<LogEnds>, String> {
    let starts = page.series("seedlog_log_start_offset");
    starts
        .map(|sample| {
            let labels = &sample.labels;
            let other = |name| page.value(name, labels).ok_or(format!("no {name} of {labels:?}"));
            let partition = labels.get("partition").and_then(|number| number.parse().ok());
            let (Some(topic), Some(partition)) = (labels.get("topic"), partition) else {
                return Err(format!("a log of {labels:?}"));
            };
            Ok(LogEnds {
                partition: TopicPartition::new(topic.as_str(), partition),
                start: Offset(sample.value as i64),
                readable: Offset(other("seedlog_readable_end_offset")? as i64),
                end: Offset(other("seedlog_log_end_offset")? as i64),
            })
        })
        .collect()
}

/// What was appended to each topic since the broker began. An error: it says one thing of a topic and not another.
fn appended(page: &Page) -> Result<BTreeMap<String, Appends>, String> {
    let of_topics = page.series("seedlog_topic_appended_records_total");
    of_topics
        .map(|sample| {
            let labels = &sample.labels;
            let topic = labels.get("topic").ok_or(format!("a topic of {labels:?}"))?.clone();
            let batches = page.value("seedlog_topic_appended_batches_total", labels);
            let batches = batches.ok_or(format!("no batches of {labels:?}"))? as u64;
            Ok((topic, Appends { batches, records: sample.value as u64 }))
        })
        .collect()
}

async fn get(site: &Site, path: &str) -> Result<Answer, String> {
    match clock::timeout(REQUEST_TIMEOUT, get_in_time(site, path)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(elapsed.to_string()),
    }
}

/// An error: nothing, or not everything, came.
async fn get_in_time(site: &Site, path: &str) -> Result<Answer, String> {
    let text = |error: std::io::Error| error.to_string();
    let address = net::resolve(&site.host, site.port).await.map_err(text)?;
    let stream = net::connect(address, REQUEST_TIMEOUT).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = stream.into_split();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.host);
    writer.send(&mut vec![Segment::Bytes(Bytes::from(request))]).await.map_err(text)?;
    let mut bytes = BytesMut::new();
    while bytes.len() < PAGE_BYTES_MAX && reader.read(&mut bytes, READ_BYTES).await.map_err(text)? > 0 {
        if let Some(answer) = whole(&bytes)? {
            return Ok(answer);
        }
    }
    whole(&bytes)?.ok_or("the answer breaks off".to_owned())
}

/// The answer, once as much of its body is there as it says.
fn whole(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).ok_or("no length")?;
    Ok((body.len() >= length).then(|| Answer { status, body: body[..length].to_owned() }))
}
