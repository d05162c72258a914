//! A history that was kept in a file, read with suspicion: cut off, damaged, mixed up, or no history at all.

use std::io::BufRead;

use super::{Entered, Entry, Phase, What};

/// What is wrong with a stored history.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    #[error("line {line}: {what}")]
    Line { line: usize, what: String },
    #[error("the file is empty: a history begins with the phase `start`")]
    Empty,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Letters of a wrong line that are shown.
const SHOWN_MAX: usize = 80;

/// Reads one whole run; an error names the line.
pub fn read(mut input: impl BufRead) -> Result<Vec<Entry>, StoredError> {
    let mut history: Vec<Entry> = Vec::new();
    let mut bytes = Vec::new();
    while input.read_until(b'\n', &mut bytes)? > 0 {
        let line = history.len() + 1;
        let wrong = |what: String| StoredError::Line { line, what };
        let is_whole = bytes.last() == Some(&b'\n');
        let entry = entry(&bytes, is_whole).map_err(wrong)?;
        match history.last() {
            None if !is_phase(&entry, Phase::Start) => {
                return Err(wrong(
                    "a history begins with the phase `start`; this one lacks its beginning".into(),
                ));
            }
            Some(last) if entry.at_ns < last.at_ns => {
                let (now, before) = (entry.at_ns, last.at_ns);
                let what = format!(
                    "{now} ns comes before the {before} ns of the line above; was the file put together?"
                );
                return Err(wrong(what));
            }
            _ => {}
        }
        history.push(entry);
        bytes.clear();
    }
    match history.last() {
        None => Err(StoredError::Empty),
        Some(last) if is_phase(last, Phase::Judge) => Ok(history),
        Some(_) => {
            let what =
                "the history ends without the phase `judge`: it was cut off here, or its run broke off";
            Err(StoredError::Line { line: history.len(), what: what.into() })
        }
    }
}

fn entry(bytes: &[u8], is_whole: bool) -> Result<Entry, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| "no text: the file is damaged, or no history".to_owned())?;
    let shown: String = text.trim_end().chars().take(SHOWN_MAX).collect();
    let value: serde_json::Value = match serde_json::from_str(text.trim_end()) {
        Ok(value) => value,
        Err(error) if error.is_eof() || !is_whole => return Err(format!("cut off in the middle: {shown}")),
        Err(error) => return Err(format!("no JSON object ({error}): {shown}")),
    };
    let missing = ["at_ns", "node", "incarnation"].into_iter().find(|key| value.get(key).is_none());
    if let Some(missing) = missing {
        return Err(format!("no entry of a history, `{missing}` is missing: {shown}"));
    }
    let kind =
        ["fact", "fault", "phase", "seen"].into_iter().find_map(|key| Some((key, value.get(key)?.as_str()?)));
    let told = kind.map(|(key, kind)| format!("{key} `{kind}`"));
    serde_json::from_value(value).map_err(|_| match told {
        Some(told) => {
            format!("this testbed does not know the {told} in this form; was it written by another version?")
        }
        None => format!("neither a fact, a fault nor a phase: {shown}"),
    })
}

fn is_phase(entry: &Entry, wanted: Phase) -> bool {
    matches!(entry.what, What::Phase(Entered { phase }) if phase == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"at_ns":0,"node":"testbed","incarnation":0,"phase":"start"}"#;
    const OPENED: &str =
        r#"{"at_ns":5,"node":"broker-1","incarnation":1,"fact":"session-opened","session":7}"#;
    const JUDGE: &str = r#"{"at_ns":9,"node":"testbed","incarnation":0,"phase":"judge"}"#;

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_history_is_read() {
        assert_eq!(read(format!("{START}\n{OPENED}\n{JUDGE}\n").as_bytes()).unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            (String::new(), "the file is empty"),
            (format!("{START}\n{OPENED}\n"), "line 2: the history ends without the phase `judge`"),
            (format!("{START}\n{}", &OPENED[..40]), "line 2: cut off in the middle: {\"at_ns\":5"),
            (format!("{START}\n{}\n{JUDGE}\n", &OPENED[..40]), "line 2: cut off in the middle"),
            (format!("{START}\nat_ns=5\n"), "line 2: no JSON object"),
            (format!("{OPENED}\n{JUDGE}\n"), "line 1: a history begins with the phase `start`"),
            (format!("{START}\n{JUDGE}\n{OPENED}\n"), "line 3: 5 ns comes before the 9 ns"),
            ("{\"level\":\"info\"}\n".into(), "line 1: no entry of a history, `at_ns` is missing"),
            (
                format!("{START}\n{}\n", OPENED.replace("opened", "closed")),
                "line 2: this testbed does not know the fact `session-closed`",
            ),
            (
                format!("{START}\n{}\n", OPENED.replace("fact", "fakt")),
                "line 2: neither a fact, a fault nor a phase",
            ),
        ] {
            assert!(error(&text).contains(expected), "{expected}: {}", error(&text));
        }
        let damaged = [START.as_bytes(), b"\n\xff\xfe\n"].concat();
        assert!(read(damaged.as_slice()).unwrap_err().to_string().contains("line 2: no text"));
    }
}
