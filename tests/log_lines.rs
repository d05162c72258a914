//! What a running broker writes to its log can be read by a program: every line of a real run is parsed.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use seedlog::protocol::encode_request;
use seedlog::protocol::messages::{InitProducerIdRequest, MetadataRequest};
use seedlog::record::Compression;

use support::raw::{Raw, batch};
use support::{free_port, run, seedlog, start_ready, wait_until};

/// A line as its pairs, in their order; or what is wrong with it.
fn parse(line: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(format!("no `=` in `{rest}`"))?;
        let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        if key.is_empty() || !key.chars().all(is_key) {
            return Err(format!("`{key}` is no key"));
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (value, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
                (value.to_owned(), after)
            }
        };
        pairs.push((key.to_owned(), value));
        rest = match after.strip_prefix(' ') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => return Err(format!("`{after}` follows a value")),
        };
    }
    Ok(pairs)
}

/// The value up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, 'u')) => {
                    let digits: String =
                        chars.by_ref().map(|(_, c)| c).skip(1).take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).map_err(|e| e.to_string())?;
                    value.push(char::from_u32(code).ok_or("no character")?);
                }
                other => return Err(format!("{other:?} is no escape")),
            },
            c if c.is_control() => return Err(format!("{c:?} stands as it is")),
            c => value.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn judge(line: &str) -> Vec<(String, String)> {
    assert!(!line.contains('\x1b'), "colours in a file: {line}");
    let pairs = parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys[..3], ["time", "level", "event"], "{line}");
    for (key, value) in &pairs {
        for debug in ["Some(", "None", "Ok(", "Err(", "Anonymous"] {
            assert!(!value.contains(debug), "`{key}` is Rust's own form: {line}");
        }
        if key == "session" {
            assert!(value.starts_with("0x"), "a session is not in hex: {line}");
        }
    }
    pairs
}

/// What happens to a broker in this test, so that there is something to log.
fn use_and_misuse(address: &str) {
    run(seedlog().args(["topic", "create", "orders", "--bootstrap", address]));
    let mut client = Raw::connect(address);
    client.produce("orders", batch(Compression::None, &[b"one"]));
    assert_eq!(client.values("orders"), ["one"]);
    // A client that would like to write lines, and colours, of its own.
    let name = "x\ntime=0 level=error event=forged \x1b[31m\" k=v";
    let mut forger = Raw::connect(address);
    forger.send(&encode_request(4, 1, Some(name), &InitProducerIdRequest::default()));
    forger.send(&encode_request(9, 2, Some(name), &MetadataRequest::default()));
    client.produce("orders", Bytes::from_static(b"no batch at all, but long enough to be looked at as one"));
    let mut liar = Raw::connect(address);
    liar.send(&i32::MAX.to_be_bytes());
    assert!(liar.is_closed_by_broker());
    // Refused: the topic is there, and a name that cannot be.
    for name in ["orders", "no/such"] {
        assert!(
            !seedlog()
                .args(["topic", "create", name, "--bootstrap", address])
                .output()
                .is_ok_and(|o| o.status.success())
        );
    }
}

#[test]
fn every_line_of_a_real_run_parses_without_colours_debug_forms_or_forged_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let address = format!("127.0.0.1:{}", free_port());
    let mut process = start_ready(
        seedlog()
            .env("SEEDLOG_LOG", "debug")
            .args(["dev", "--listen", &address, "--http-listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .stderr(File::create(&log).expect("a file")),
    );

    use_and_misuse(&address);
    wait_until("the refusal is logged", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("event=not_built_yet"))
    });
    assert!(process.terminate());

    let text = std::fs::read_to_string(&log).expect("the log is text");
    let events: Vec<_> = text.lines().map(judge).collect();
    assert!(events.len() > 10, "little was logged:\n{text}");
    let with = |event: &str| events.iter().filter(|pairs| pairs[2].1 == event).count();
    for event in [
        "broker_registered",
        "leadership_taken",
        "topic_created",
        "broker_stopped",
        "topic_refused",
        "produce_refused",
        "connection_dropped",
    ] {
        assert!(with(event) > 0, "no {event}:\n{text}");
    }
    assert_eq!(with("forged"), 0, "a client wrote a line of its own:\n{text}");
    let sessions = events.iter().flatten().filter(|(key, _)| key == "session").count();
    assert!(sessions > 0, "no session was named:\n{text}");
}

/// The fields of log calls that are written in Rust's own form: `?value`.
fn debug_fields(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("tracing::") {
        let call = &source[at..];
        let Some(open) = call.find("!(").filter(|open| *open < 20) else { continue };
        let mut depth = 0;
        let open = open + 1;
        let end = call[open..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let arguments = &call[..open + end.unwrap_or_default()];
        let is_debug = arguments.split([',', '=', '(']).any(|part| part.trim_start().starts_with('?'));
        if is_debug || arguments.contains(":?}") {
            found.push(arguments.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[test]
fn no_log_call_asks_for_rusts_own_form_of_a_value() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = std::fs::read_to_string(&path).expect("a source");
                found.extend(
                    debug_fields(&source).into_iter().map(|call| format!("{}: {call}", path.display())),
                );
            }
        }
    }
    assert!(found.is_empty(), "for people, not for Rust programmers:\n{}", found.join("\n"));
}

#[test]
fn the_scan_and_the_parser_see_what_they_should() {
    assert_eq!(debug_fields("tracing::warn!(a = 1, ?told, \"x\");").len(), 1);
    assert_eq!(debug_fields("tracing::warn!(a = ?told, \"x\");").len(), 1);
    assert!(debug_fields("tracing::warn!(a = f()?, %told, \"x?\");").is_empty());
    assert_eq!(parse("a=1 b=\"x y\\n\\u{1b}\"").map(|p| p[1].1.clone()), Ok("x y\n\x1b".to_owned()));
    for bad in ["a", "a=\"x", "A=1", "a=1  b=2", "a=\"x\"y", "=1"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
