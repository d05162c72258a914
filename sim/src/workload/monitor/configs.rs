//! Asks what is configured, and compares it with what the plan says.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::admin::{Admin, ConfigEntry, ConfigResource, ConfigSource};
use seedlog::types::BrokerId;

/// What one of the plan's topics, or a broker, has to be like. An error tells what it is like instead; who does not
/// answer is not judged.
pub(super) async fn check(
    admin: &Admin,
    resource: &ConfigResource,
    own: &BTreeMap<String, String>,
) -> Result<(), String> {
    let Ok(told) = admin.describe_configs(resource).await else { return Ok(()) };
    match resource {
        ConfigResource::Topic(_) => judge(&told, own, ConfigSource::Topic),
        ConfigResource::Broker(broker) => judge(&told, &settings_of(*broker), ConfigSource::Broker),
    }
}

/// What the testbed sets of every broker by itself.
fn settings_of(broker: BrokerId) -> BTreeMap<String, String> {
    let set = [("broker.id", broker.to_string()), ("auto.create.topics.enable", "false".to_owned())];
    set.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Every name once, and each of `own` with its value and its source.
fn judge(told: &[ConfigEntry], own: &BTreeMap<String, String>, source: ConfigSource) -> Result<(), String> {
    let mut names = BTreeSet::new();
    if let Some(entry) = told.iter().find(|entry| entry.name.is_empty() || !names.insert(&*entry.name)) {
        return Err(format!("`{}` is no name, or there twice", entry.name));
    }
    for (name, value) in own {
        let Some(entry) = told.iter().find(|entry| entry.name == *name) else {
            return Err(format!("{name} is not told"));
        };
        if entry.value.as_ref() != Some(value) || entry.source != source {
            return Err(format!("{name} is {:?} by {:?} and not {value}", entry.value, entry.source));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use seedlog::admin::{ConfigEntry, ConfigSource};

    use super::judge;

    fn entry(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
        ConfigEntry { name: name.to_owned(), value: Some(value.to_owned()), source }
    }

    fn judged(told: &[ConfigEntry]) -> Result<(), String> {
        judge(told, &[("flush.ms".to_owned(), "100".to_owned())].into(), ConfigSource::Topic)
    }

    #[test]
    fn what_is_configured_must_be_told_once_and_as_it_is() {
        let good = entry("flush.ms", "100", ConfigSource::Topic);
        let other = entry("segment.bytes", "7", ConfigSource::Default);
        judged(&[good.clone(), other.clone()]).expect("good");
        assert!(judged(&[good.clone(), good.clone()]).expect_err("twice").contains("there twice"));
        assert!(judged(&[other]).expect_err("none").contains("flush.ms is not told"));
        let wrong = entry("flush.ms", "101", ConfigSource::Topic);
        assert!(judged(&[wrong]).expect_err("another value").contains("and not 100"));
        let elsewhere = entry("flush.ms", "100", ConfigSource::Default);
        assert!(judged(&[elsewhere]).expect_err("another source").contains("by Default"));
    }
}
