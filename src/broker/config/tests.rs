use super::*;

fn usable() -> BrokerConfig {
    BrokerConfig::from_toml("broker_id = 1\ndata_dir = \"/data\"\nzookeeper_servers = [\"zk:2181\"]")
        .expect("three plain keys")
}

fn problem_of(config: &BrokerConfig) -> String {
    config.check().expect_err("the value cannot be used").to_string()
}

#[test]
fn every_field_has_its_name_in_the_table_of_names() {
    let full = BrokerConfig {
        broker_id: Some(1),
        advertised: Some(String::new()),
        http_listen: Some(String::new()),
        data_dir: Some(String::new()),
        flush_messages: Some(1),
        flush_interval_ms: Some(1),
        message_timestamp_before_ms_max: Some(1),
        message_timestamp_after_ms_max: Some(1),
        message_timestamp_difference_ms_max: Some(1),
        expose: Some(Expose::Flushed),
        ..BrokerConfig::default()
    };
    let fields = toml::Table::try_from(full).expect("a config is a table");

    let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
    let mut names: Vec<&str> = keys::all_our_names().into_iter().collect();
    names.sort_unstable();

    let mut fields = fields;
    fields.sort_unstable();
    assert_eq!(fields, names);
}

#[test]
fn kafka_names_mean_the_same_as_ours() {
    let ours = "broker_id = 1\nlisten = \"h:9092\"\ndata_dir = \"/d\"\nzookeeper_servers = [\"a:1\", \"b:2\"]\nsegment_bytes = 2048";
    let kafka = "broker.id = 1\nlisteners = \"h:9092\"\nlog.dirs = \"/d\"\nzookeeper.connect = \"a:1,b:2\"\nlog.segment.bytes = 2048";

    assert_eq!(BrokerConfig::from_toml(ours), BrokerConfig::from_toml(kafka));
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_one_suggested() {
    let error = BrokerConfig::from_toml("log.segment.byte = 1\nbroker_id = 1").expect_err("misspelt");

    assert_eq!(error.to_string(), "`log.segment.byte = 1`: unknown key; did you mean `log.segment.bytes`?");
}

#[test]
fn a_key_nothing_is_like_gets_no_suggestion() {
    let error = BrokerConfig::from_toml("colour = 'red'").expect_err("unknown");

    assert_eq!(
        error.to_string(),
        "`colour = \"red\"`: unknown key; docs/broker.md lists those that there are"
    );
}

#[test]
fn a_key_given_under_both_names_is_refused() {
    let error = BrokerConfig::from_toml("broker_id = 1\nbroker.id = 2").expect_err("twice");

    assert!(error.to_string().contains("given twice"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_key() {
    let error = BrokerConfig::from_toml("segment_bytes = \"much\"").expect_err("not a number");

    let shown = error.to_string();
    assert!(
        shown.contains("`segment_bytes = \"much\"`") && shown.contains("expected a whole number, 0 or more"),
        "{shown}"
    );
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let error = BrokerConfig::from_toml("broker_id = 1\nlisten =").expect_err("cut short");

    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn impossible_values_name_key_value_and_what_would_be_right() {
    let negative = BrokerConfig { broker_id: Some(-1), ..usable() };
    assert_eq!(problem_of(&negative), "`broker_id = -1`: must be 0 or more");

    let tiny = BrokerConfig { segment_bytes: 3, ..usable() };
    assert_eq!(problem_of(&tiny), "`segment_bytes = 3`: must be 256 to 2147483647");

    let sparse = BrokerConfig { index_interval_bytes: (1 << 20) + 1, ..usable() };
    assert_eq!(problem_of(&sparse), "`index_interval_bytes = 1048577`: must be 1 to 1048576");

    let tls = BrokerConfig { listen: "SSL://h:1".into(), ..usable() };
    assert!(problem_of(&tls).contains("must be PLAINTEXT://HOST:PORT"));

    let port = BrokerConfig { listen: "h:99999".into(), ..usable() };
    assert!(problem_of(&port).contains("port from 0 to 65535"));

    let chroot = BrokerConfig { zookeeper_servers: TextList(vec!["h:1/kafka".into()]), ..usable() };
    assert!(problem_of(&chroot).contains("path below ZooKeeper's root"));

    let greedy = BrokerConfig { request_bytes_in_flight_max: 1, ..usable() };
    assert!(problem_of(&greedy).contains("request_bytes_in_flight_max = 1"));
}

#[test]
fn missing_keys_are_all_named_at_once() {
    let shown = problem_of(&BrokerConfig::default());

    for key in ["broker_id", "data_dir", "zookeeper_servers"] {
        assert!(shown.contains(&format!("`{key}`: is missing")), "{shown}");
    }
}

#[test]
fn problems_of_names_types_and_values_are_all_named_at_once_by_the_names_that_were_written() {
    let text = "broker.id = \"one\"\nnum.partitions = 0\nlog.retention.hours = 168\nlog.segment.byte = 5\n\
                durability = \"sometimes\"\nauto_create_topics = 1\nsegment_bytes = 1000\nlog.segment.bytes = 2000";
    let error = Draft::from_toml(text).expect("it is TOML").check().expect_err("much is wrong");

    let mut shown: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    shown.sort();
    let mut expected = [
        "`auto_create_topics = 1`: invalid type: integer `1`, expected true or false",
        "`broker.id = \"one\"`: invalid type: string \"one\", expected a whole number of 32 bits",
        "`data_dir`: is missing: the directory of this broker's logs",
        "`durability = \"sometimes\"`: unknown variant `sometimes`, expected `fsync` or `page-cache`",
        "`log.retention.hours = 168`: is a key of Kafka's that is not served yet: leave it out",
        "`log.segment.byte = 5`: unknown key; did you mean `log.segment.bytes`?",
        "`num.partitions = 0`: must be 1 to 10000",
        "`segment_bytes = 1000`: is given twice: `log.segment.bytes` is the same setting",
        "`zookeeper_servers`: is missing: ZooKeeper's servers, as \"HOST:PORT,HOST:PORT\"",
    ];
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert!(error.to_string().starts_with("9 problems\n  `"), "{error}");
}

#[test]
fn a_draft_without_problems_is_what_was_written() {
    let text = "broker_id = 1\ndata_dir = \"/d\"\nzookeeper.connect = \"zk:2181\"";
    let checked = Draft::from_toml(text).expect("TOML").check().expect("usable");

    assert_eq!(checked.zookeeper_servers, ["zk:2181"]);
}

#[test]
fn an_address_nobody_can_connect_to_is_not_advertised() {
    let everywhere = BrokerConfig { listen: "0.0.0.0:9092".into(), ..usable() };
    assert!(problem_of(&everywhere).contains("set `advertised`"));

    let told = BrokerConfig { advertised: Some("broker.example:9092".into()), ..everywhere };
    assert!(told.check().is_ok());
}

#[test]
fn what_is_exposed_follows_durability_unless_said() {
    let fsync = usable().check().expect("usable");
    assert_eq!(fsync.log.expose, Expose::Flushed);

    let cached = BrokerConfig { durability: Durability::PageCache, ..usable() };
    assert_eq!(cached.check().expect("usable").log.expose, Expose::Replicated);

    let stuck = BrokerConfig { expose: Some(Expose::Flushed), ..cached };
    assert!(problem_of(&stuck).contains("set a flush interval"));
}
