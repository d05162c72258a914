//! The broker under attack, and a client that behaves.

use std::path::Path;
use std::time::{Duration, Instant};

use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::ApiVersionsRequest;
use seedlog::record::Compression;

use crate::support::raw::{Raw, batch};
use crate::support::{self, Process, seedlog};

pub const TOPIC: &str = "orders";

/// A request of one who behaves takes at most this long, attack or not.
pub const SERVED_WITHIN: Duration = Duration::from_secs(5);

pub struct Subject {
    pub address: String,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Subject {
    /// `seedlog dev` with one topic of one record.
    pub fn start(settings: &str) -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("127.0.0.1:{}", support::free_port());
        let process = start(folder.path(), &address, settings);
        support::run(seedlog().args(["topic", "create", TOPIC, "--bootstrap", &address]));
        let subject = Subject { address, process, _folder: folder };
        let stored = subject.client().produce(TOPIC, batch(Compression::None, &[b"first"]));
        assert_eq!(stored, (ErrorCode::NONE, 0));
        subject
    }

    pub fn client(&self) -> Raw {
        Raw::connect(&self.address)
    }

    pub fn rss_mib(&self) -> u64 {
        support::rss_mib(&self.process)
    }

    /// A new client connects, asks and is answered; how long that took.
    pub fn serves_a_new_client(&self) -> Duration {
        let start = Instant::now();
        let response = self.client().call(3, &ApiVersionsRequest::default());
        assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
        let took = start.elapsed();
        assert!(took < SERVED_WITHIN, "a client that behaves waited {took:?}");
        took
    }

    /// The broker goes on, and what was stored is still there.
    pub fn goes_on(&mut self) {
        assert!(!self.process.has_ended(), "the broker has ended");
        self.serves_a_new_client();
        let mut client = self.client();
        assert_eq!(client.values(TOPIC).first().map(String::as_str), Some("first"));
        let (error, _) = client.produce(TOPIC, batch(Compression::None, &[b"after"]));
        assert_eq!(error, ErrorCode::NONE);
    }
}

fn start(folder: &Path, address: &str, settings: &str) -> Process {
    let config = folder.join("dev.toml");
    std::fs::write(&config, settings).expect("a config");
    let mut command = seedlog();
    command.arg("dev").arg("--data").arg(folder.join("data")).args(["--listen", address]);
    // What the attacker does wrong is not this test's news.
    command.env("SEEDLOG_LOG", "error").arg("--config").arg(&config);
    support::start_ready(&mut command)
}
