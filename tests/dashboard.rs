//! Every query of the Grafana dashboard returns a series, asked of a real Prometheus that scrapes a loaded broker;
//! and every metric that the broker serves has its place in the dashboard.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use seedlog::record::Compression;
use serde_json::Value;

use support::http::{self, url_encoded};
use support::raw::{Raw, batch};
use support::{Process, free_port, have, run, seedlog, start_ready, wait_until};

const DASHBOARD: &str = include_str!("../docs/grafana/seedlog.json");
const TOPIC: &str = "orders";
const GROUP: &str = "billing";
/// Between two scrapes.
const SCRAPE: &str = "250ms";
/// What Grafana puts for `$__rate_interval`: four scrapes at least.
const RATE_INTERVAL: &str = "5s";

/// A broker with metrics.
struct Subject {
    address: String,
    http: String,
    zookeeper: String,
    _broker: Process,
    folder: tempfile::TempDir,
}

impl Subject {
    fn start() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let address = || format!("127.0.0.1:{}", free_port());
        let (address, http, zookeeper) = (address(), address(), address());
        let broker = start_ready(
            seedlog()
                .args(["dev", "--listen", &address, "--http-listen", &http])
                .args(["--zookeeper-listen", &zookeeper, "--data"])
                .arg(folder.path().join("data")),
        );
        Subject { address, http, zookeeper, _broker: broker, folder }
    }

    /// Produces, fetches (with and without waiting), is refused, and keeps a group.
    fn load(&self) {
        run(seedlog().args(["topic", "create", TOPIC, "--partitions", "1", "--bootstrap", &self.address]));
        let mut client = Raw::connect(&self.address);
        for _ in 0..20 {
            client.produce(TOPIC, batch(Compression::None, &[b"a record", b"another"]));
        }
        client.produce(
            TOPIC,
            bytes::Bytes::from_static(b"no batch at all, but long enough to be looked at as one"),
        );
        client.values(TOPIC);
    }

    /// A member of a group that stays.
    fn consume_in_group(&self) -> Process {
        let mut command = seedlog();
        command.args(["consume", TOPIC, "--group", GROUP, "--from-beginning", "--bootstrap", &self.address]);
        command.args(["--zookeeper", &self.zookeeper]).stdout(Stdio::null());
        Process::start(&mut command)
    }
}

/// Prometheus on loopback, scraping the subject.
struct Prometheus {
    address: String,
    _process: Process,
}

impl Prometheus {
    fn start(folder: &Path, target: &str) -> Prometheus {
        let address = format!("127.0.0.1:{}", free_port());
        let config = folder.join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: seedlog\n  scrape_interval: {SCRAPE}\n  scrape_timeout: {SCRAPE}\n  \
             static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(&config, text).expect("a config");
        let process = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
                .arg(format!("--web.listen-address={address}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_until("Prometheus is ready", || {
            http::get(&address, "/-/ready").is_ok_and(|answer| answer.status == 200)
        });
        Prometheus { address, _process: process }
    }

    /// The series that a query returns now, or why it is none.
    fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", url_encoded(query));
        let answer = http::get(&self.address, &path).map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("the dashboard is JSON")
}

/// The panels' titles with their queries, as Grafana would ask them.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let of_panel = |panel: Value| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$__rate_interval", RATE_INTERVAL);
            (title.clone(), query.replace("$instance", ".*").replace("$topic", ".*"))
        })
    };
    panels.into_iter().flat_map(of_panel).collect()
}

#[test]
fn every_query_of_the_dashboard_returns_a_series_of_a_loaded_broker() {
    let installed = Command::new("prometheus").arg("--version").output().is_ok_and(|o| o.status.success());
    if !have("Prometheus (Debian package prometheus)", installed) {
        return;
    }
    let subject = Subject::start();
    let prometheus = Prometheus::start(subject.folder.path(), &subject.http);
    subject.load();
    let _member = subject.consume_in_group();

    let queries = queries();
    assert!(queries.len() > 40, "the dashboard has {} queries", queries.len());
    for (title, query) in &queries {
        // A rate needs two scrapes, a group its first commit and the broker's next look.
        let mut last = String::new();
        let has_series = http::within(Duration::from_secs(40), || match prometheus.query(query) {
            Ok(series) if !series.is_empty() => true,
            Ok(_) => {
                last = "no series".to_owned();
                false
            }
            Err(error) => {
                last = error;
                false
            }
        });
        assert!(has_series, "panel {title}: {last}: {query}");
    }
    let lag = prometheus.query("seedlog_group_lag_records").expect("the lag");
    assert_eq!(lag[0]["metric"]["group"], GROUP);
    let up = prometheus.query("up{job=\"seedlog\"}").expect("whether the scrape worked");
    assert_eq!(up[0]["value"][1], "1");
}

#[test]
fn every_metric_has_its_place_in_the_dashboard_and_its_line_in_the_docs() {
    let subject = Subject::start();
    subject.load();
    let page = http::get(&subject.http, "/metrics").expect("metrics").body;
    let names: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    assert!(names.len() > 40, "{names:?}");

    let asked: Vec<String> = queries().into_iter().map(|(_, query)| query).collect();
    let docs = include_str!("../docs/broker.md");
    let is_named = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            !text[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    for name in names {
        assert!(asked.iter().any(|query| is_named(query, name)), "no panel shows {name}");
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(is_named(docs, base), "docs/broker.md does not name {base}");
    }
}

#[test]
fn the_page_is_written_as_it_is_asked_for() {
    let subject = Subject::start();
    let plain = http::get(&subject.http, "/metrics").expect("metrics");
    assert_eq!(plain.content_type, "text/plain; version=0.0.4; charset=utf-8");

    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let open = http::get_with(&subject.http, "/metrics", accept).expect("metrics");
    assert_eq!(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.body.contains("\n# TYPE seedlog_produce_seconds histogram\n"), "{}", open.body);
}
