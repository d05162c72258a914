//! A page of metrics in Prometheus' text format, read without mercy.
//!
//! Source: "Text-based format" of Prometheus' page on exposition formats.

use std::collections::{BTreeMap, BTreeSet};

/// One line that has a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    /// What each family is.
    types: BTreeMap<String, String>,
    /// By name.
    samples: BTreeMap<String, Vec<Sample>>,
}

impl Page {
    pub fn parse(text: &str) -> Result<Page, String> {
        let mut page = Page::default();
        for line in text.lines() {
            page.take(line).map_err(|problem| format!("{problem} in `{line}`"))?;
        }
        Ok(page)
    }

    fn take(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').ok_or("no type")?;
            let before = self.types.insert(name.to_owned(), kind.to_owned());
            return if before.is_none() { Ok(()) } else { Err("a family for the second time") };
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let value = value.parse().map_err(|_| "no number")?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => {
                (name, parse_labels(labels.strip_suffix('}').ok_or("no end of labels")?)?)
            }
            None => (series, BTreeMap::new()),
        };
        let samples = self.samples.entry(name.to_owned()).or_default();
        if samples.iter().any(|sample| sample.labels == labels) {
            return Err("a series for the second time");
        }
        samples.push(Sample { labels, value });
        Ok(())
    }

    pub fn series(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.get(name).into_iter().flatten()
    }

    pub fn value(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<f64> {
        self.series(name).find(|sample| sample.labels == *labels).map(|sample| sample.value)
    }

    /// Whether every family is there that must be, and each tells what its type promises.
    pub fn judge(&self, families: &[(&str, &str)]) -> Result<(), String> {
        for (family, kind) in families {
            match self.types.get(*family) {
                Some(told) if told == kind => {}
                Some(told) => return Err(format!("{family} is a {told} and no {kind}")),
                None => return Err(format!("there is no {family}")),
            }
        }
        for (family, kind) in &self.types {
            match kind.as_str() {
                "histogram" => self.judge_histogram(family)?,
                "counter" | "gauge" => self.judge_values(family)?,
                other => return Err(format!("{family} is a {other}")),
            }
        }
        Ok(())
    }

    /// Nothing that a broker counts or measures is below zero.
    fn judge_values(&self, family: &str) -> Result<(), String> {
        match self.series(family).find(|sample| sample.value.is_nan() || sample.value < 0.0) {
            Some(sample) => Err(format!("{family} of {:?} is {}", sample.labels, sample.value)),
            None => Ok(()),
        }
    }

    /// Buckets have rising bounds, never fewer than the one before, and all of them in the last.
    fn judge_histogram(&self, family: &str) -> Result<(), String> {
        let bucket = format!("{family}_bucket");
        let mut told: BTreeSet<BTreeMap<String, String>> = BTreeSet::new();
        let mut before: Option<(BTreeMap<String, String>, f64, f64)> = None;
        for sample in self.series(&bucket) {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").ok_or(format!("{bucket} without a bound"))?;
            let bound: f64 = bound.parse().map_err(|_| format!("{bucket} up to {bound}"))?;
            if let Some((of, last_bound, count)) = &before
                && *of == labels
                && (bound <= *last_bound || sample.value < *count)
            {
                return Err(format!("{bucket} up to {bound} holds {} after {count}", sample.value));
            }
            if bound.is_infinite() {
                let count = self.value(&format!("{family}_count"), &labels);
                if count != Some(sample.value) {
                    return Err(format!("{family} counts {count:?}, and {} in its buckets", sample.value));
                }
                self.judge_sum(family, &labels, sample.value)?;
                told.insert(labels.clone());
            }
            before = Some((labels, bound, sample.value));
        }
        if told.is_empty() { Err(format!("{family} has no last bucket")) } else { Ok(()) }
    }

    fn judge_sum(&self, family: &str, labels: &BTreeMap<String, String>, count: f64) -> Result<(), String> {
        let sum = self.value(&format!("{family}_sum"), labels).ok_or(format!("{family} has no sum"))?;
        let is_possible = sum >= 0.0 && (count > 0.0 || sum == 0.0);
        if is_possible { Ok(()) } else { Err(format!("{family} sums {sum} of {count}")) }
    }
}

/// `a="b",c="d"`.
fn parse_labels(mut text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").ok_or("no label")?;
        let (value, rest) = rest.split_once('"').ok_or("no end of a label")?;
        if labels.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err("a label for the second time");
        }
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::Page;

    const GOOD: &str = "\
# HELP seedlog_flush_seconds One flush.
# TYPE seedlog_flush_seconds histogram
seedlog_flush_seconds_sum 0.5
seedlog_flush_seconds_count 3
seedlog_flush_seconds_bucket{le=\"0.1\"} 2
seedlog_flush_seconds_bucket{le=\"+Inf\"} 3
# TYPE seedlog_log_end_offset gauge
seedlog_log_end_offset{topic=\"orders\",partition=\"0\"} 7
";

    fn judged(text: &str) -> Result<(), String> {
        Page::parse(text)?.judge(&[("seedlog_flush_seconds", "histogram")])
    }

    #[test]
    fn a_good_page_passes_and_tells_its_values() {
        judged(GOOD).expect("good");
        let page = Page::parse(GOOD).expect("good");
        let labels = [("topic".to_owned(), "orders".to_owned()), ("partition".to_owned(), "0".to_owned())];
        assert_eq!(page.value("seedlog_log_end_offset", &labels.into()), Some(7.0));
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let changed = |from: &str, to: &str| judged(&GOOD.replace(from, to)).expect_err(to);
        assert!(changed("_count 3", "_count 4").contains("counts Some(4.0), and 3 in its buckets"));
        assert!(changed("\"} 2", "\"} 5").contains("holds 3 after 5"));
        assert!(changed("_sum 0.5", "_sum -1").contains("sums -1"));
        assert!(changed("offset{topic=\"orders\",partition=\"0\"} 7", "offset -1").contains("is -1"));
        assert!(changed("seconds histogram", "seconds gauge").contains("is a gauge and no histogram"));
        assert!(changed("flush", "flash").contains("there is no seedlog_flush_seconds"));
        assert!(changed("seedlog_flush_seconds_bucket{le=\"+Inf\"} 3\n", "").contains("no last bucket"));
        assert!(changed(" 7", " seven").contains("no number"));
    }

    #[test]
    fn one_series_twice_is_told() {
        let twice = format!("{GOOD}seedlog_log_end_offset{{topic=\"orders\",partition=\"0\"}} 7\n");
        assert!(judged(&twice).expect_err("twice").contains("a series for the second time"));
    }
}
