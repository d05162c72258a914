//! The words of an action, and what would be right where they are wrong.

use std::time::Duration;

use seedlog::runtime::sim::world::Death;
use seedlog::types::BrokerId;

use super::super::{happening, selector, units, words};
use super::forms::FORMS;
use super::{Action, CrashPoint, DISK_FAILURES, Place};
use crate::history::{DiskOperation, Errno, Refusal};

/// Most that a clock may drift, in parts per million.
const DRIFT_PPM_MAX: i64 = 100_000;
/// Largest factor by which anything may be slowed down.
const SLOWDOWN_MAX: u32 = 1000;

/// Reads what a step does.
pub fn parse(text: &str) -> Result<Action, String> {
    let found = words::of_step(text);
    let words: Vec<&str> = found.iter().map(String::as_str).collect();
    let (said, lasting) = match words.as_slice() {
        [rest @ .., "for", time] => (rest, Some(units::duration(time)?)),
        all => (all, None),
    };
    if let Some(action) = that_may_last(said, lasting)? {
        return Ok(action);
    }
    if lasting.is_some() {
        return Err(unknown(text, &words, "action that lasts"));
    }
    that_is_sudden(said)?.ok_or_else(|| unknown(text, &words, "action"))
}

/// What may have an end of its own.
fn that_may_last(said: &[&str], lasting: Option<Duration>) -> Result<Option<Action>, String> {
    let action = match said {
        ["pause", who] => Action::Pause { target: selector::parse(who)?, lasting },
        ["suspend", who] => Action::Suspend { target: selector::parse(who)?, lasting },
        ["few-descriptors", who, left] => few_descriptors(who, left, lasting)?,
        ["monotonic", who, change] => {
            Action::MonotonicDrift { target: selector::parse(who)?, ppm: drift(change)?, lasting }
        }
        ["timers-late", who, grid] => {
            Action::TimersLate { target: selector::parse(who)?, grid: units::duration(grid)?, lasting }
        }
        ["cut", a, "|", b] => cut(a, b, true, lasting)?,
        ["cut", a, "->", b] => cut(a, b, false, lasting)?,
        ["disk-error", who, operation, how @ ..] if how.len() <= 2 => {
            disk_error(who, operation, how, lasting)?
        }
        ["disk-full", who] => Action::DiskFull { target: selector::parse(who)?, free_bytes: 0, lasting },
        ["disk-full", who, "leaving", bytes] => {
            Action::DiskFull { target: selector::parse(who)?, free_bytes: units::bytes(bytes)?, lasting }
        }
        ["disk-slow", who, factor] => disk_slow(who, factor, false, lasting)?,
        ["disk-slow", who, factor, "stalling"] => disk_slow(who, factor, true, lasting)?,
        ["isolate", who] => Action::Isolate { target: selector::parse(who)?, lasting },
        ["split"] => Action::Split { lasting },
        ["delay", a, way @ ("|" | "->"), b, by] => delay(a, b, *way == "|", (by, "0ms"), lasting)?,
        ["delay", a, way @ ("|" | "->"), b, by, "+", mean] => delay(a, b, *way == "|", (by, mean), lasting)?,
        ["limit", from, "->", to, "to", bandwidth] => Action::Limit {
            from: selector::parse(from)?,
            to: selector::parse(to)?,
            bytes_per_second: units::bandwidth(bandwidth)?,
            lasting,
        },
        ["stall", a, "|", b] => stall(a, b, None, lasting)?,
        ["stall", a, "|", b, count] => stall(a, b, Some(count), lasting)?,
        ["refuse", who] => refuse(who, Refusal::Refused, lasting)?,
        ["ignore-connects", who] => refuse(who, Refusal::Unanswered, lasting)?,
        ["accept-late", who] => refuse(who, Refusal::Late, lasting)?,
        ["disk-hang", who, what @ ..] => disk_hang(who, what, lasting)?,
        ["disk-lies", who] => Action::DiskLies { target: selector::parse(who)?, lasting },
        ["disk-sector-lost", who, at @ ..] => {
            Action::DiskSectorLost { target: selector::parse(who)?, at: place(at)?, lasting }
        }
        ["clock", who, change] => clock(who, change, lasting)?,
        ["strobe", who, by] => Action::ClockStrobe {
            target: selector::parse(who)?,
            by_ms: signed_ms(by)?,
            lasting: lasting
                .ok_or_else(|| format!("`{}`: write for how long, as `for 4s`", said.join(" ")))?,
        },
        ["watches-late", who, by] => {
            Action::WatchesLate { target: selector::parse(who)?, by: units::duration(by)?, lasting }
        }
        ["detach", who, reaching @ ..] => detach(who, reaching, lasting)?,
        ["garble-offset", group, partition] => garble_offset(group, partition, lasting)?,
        ["zookeeper-lags"] => Action::ServerLags { lasting },
        ["zookeeper-down"] => Action::QuorumLost { lasting },
        ["idle", who] => Action::Idle { target: selector::parse(who)?, lasting },
        ["burst", who] => Action::Burst { target: selector::parse(who)?, lasting },
        ["hot-key", who] => Action::HotKey { target: selector::parse(who)?, lasting },
        ["slow", who, factor] => {
            Action::Slow { target: selector::parse(who)?, factor: slowdown(factor)?, lasting }
        }
        _ => return Ok(None),
    };
    Ok(Some(action))
}

fn that_is_sudden(said: &[&str]) -> Result<Option<Action>, String> {
    let action = match said {
        ["kill", who] => Action::Kill(selector::parse(who)?),
        ["power-fail", who] => Action::PowerFail(selector::parse(who)?),
        ["resume", who] => Action::Resume(selector::parse(who)?),
        ["restart" | "join", who] => Action::Restart(selector::parse(who)?),
        ["stop" | "leave", who] => Action::Stop(selector::parse(who)?),
        ["wipe", who] => Action::Wipe(selector::parse(who)?),
        ["rolling-restart", every] => Action::RollingRestart { every: units::duration(every)? },
        ["crash", who, "at", point @ ..] => crash(who, point, Death::Kill)?,
        ["power-crash", who, "at", point @ ..] => crash(who, point, Death::PowerFailure)?,
        ["configure", who, setting] => configure(who, setting)?,
        ["drop", a, "|", b] => Action::Drop { a: selector::parse(a)?, b: selector::parse(b)? },
        ["disk-misdirects", who] => Action::DiskMisdirects(selector::parse(who)?),
        ["bit-flip", who, at @ ..] => Action::BitFlip { target: selector::parse(who)?, at: place(at)? },
        ["bit-rot", who, at @ ..] => Action::BitRot { target: selector::parse(who)?, at: place(at)? },
        ["truncate", who, at @ ..] => Action::Truncate { target: selector::parse(who)?, at: place(at)? },
        ["huge-record", who, bytes] => {
            Action::HugeRecord { target: selector::parse(who)?, bytes: units::bytes(bytes)? }
        }
        ["lose-reply", who] => Action::LoseReply(selector::parse(who)?),
        ["lose-reply", who, "at", "registration"] => Action::LoseRegistration(selector::parse(who)?),
        ["cut-short", who, "after", answered, "times", broken] => Action::CutShort {
            target: selector::parse(who)?,
            answered: reads(answered)?,
            broken: reads(broken)?,
        },
        ["break-off", below, "after", answered, "times", broken, made @ ..] => {
            break_off(below, (answered, broken), made)?
        }
        ["rejoin", who] => Action::Rejoin(selector::parse(who)?),
        ["reconnect-storm"] => Action::ReconnectStorm,
        ["reset", a, "|", b] => Action::Reset { a: selector::parse(a)?, b: selector::parse(b)? },
        ["reset", of, "->", with] => {
            Action::ResetOneEnd { of: selector::parse(of)?, with: selector::parse(with)? }
        }
        ["disk-heal", who] => Action::DiskHeal(selector::parse(who)?),
        ["expire", who] => Action::Expire(selector::parse(who)?),
        _ => return Ok(None),
    };
    Ok(Some(action))
}

/// Says what would be right: the forms of a verb that there is, or of the one that is near, or all of them.
fn unknown(text: &str, said: &[&str], what: &str) -> String {
    let verbs = FORMS.split(", ").filter_map(|form| form.split(' ').next());
    let verb = said.first().copied().unwrap_or_default();
    let forms = |verb: &str| {
        let forms: Vec<String> = FORMS
            .split(", ")
            .filter(|form| form.split(' ').next() == Some(verb))
            .map(|form| format!("`{form}`"))
            .collect();
        forms.join(" or ")
    };
    if verbs.clone().any(|known| known == verb) {
        return format!("`{text}` is no {what}; write it as {}", forms(verb));
    }
    match words::nearest(verb, verbs) {
        Some(meant) => {
            format!("`{verb}` is no {what}; did you mean `{meant}`? It is written as {}", forms(meant))
        }
        None => format!("`{text}` is no {what}; there are: {FORMS}"),
    }
}

fn cut(from: &str, to: &str, both_ways: bool, lasting: Option<Duration>) -> Result<Action, String> {
    Ok(Action::Cut { from: selector::parse(from)?, to: selector::parse(to)?, both_ways, lasting })
}

/// `times` are the floor, and the mean of what comes on top.
fn delay(
    from: &str,
    to: &str,
    both_ways: bool,
    times: (&str, &str),
    lasting: Option<Duration>,
) -> Result<Action, String> {
    let (by, mean) = (units::duration(times.0)?, units::duration(times.1)?);
    Ok(Action::Delay { from: selector::parse(from)?, to: selector::parse(to)?, both_ways, by, mean, lasting })
}

fn stall(a: &str, b: &str, count: Option<&str>, lasting: Option<Duration>) -> Result<Action, String> {
    let number = |text: &str| {
        let number = text.parse().ok().filter(|&n| n > 0);
        number
            .ok_or_else(|| format!("`{text}` is no number of connections; write it as `stall shop | any 2`"))
    };
    let connections = count.map(number).transpose()?;
    Ok(Action::Stall { a: selector::parse(a)?, b: selector::parse(b)?, connections, lasting })
}

/// `how` may say with what, and how often.
fn disk_error(who: &str, what: &str, how: &[&str], lasting: Option<Duration>) -> Result<Action, String> {
    let known = DISK_FAILURES.iter().find(|(word, _, _)| *word == what);
    let &(_, operation, failure) = known.ok_or_else(|| {
        let words = DISK_FAILURES.map(|(word, _, _)| word);
        let hint = words::did_you_mean(what, words.into_iter());
        format!("`{what}` is no way for a disk to fail; there are {}{hint}", words.join(", "))
    })?;
    let named = how.first().and_then(|word| Errno::ALL.into_iter().find(|errno| errno.name() == *word));
    let often = if named.is_some() { &how[1..] } else { how };
    let errno = named.unwrap_or_default();
    if !operation.errnos().contains(&errno) {
        let names: Vec<&str> = operation.errnos().iter().map(|errno| errno.name()).collect();
        return Err(format!("{what} never fails with {}; there are {}", errno.name(), names.join(", ")));
    }
    let one_in = match often {
        [] => 1,
        [often] => how_often(often)?,
        [first, ..] => {
            let names = Errno::ALL.map(Errno::name).join(", ");
            return Err(format!("`{first}` is no error; there are {names}"));
        }
    };
    Ok(Action::DiskError { target: selector::parse(who)?, operation, failure, errno, one_in, lasting })
}

/// Reads `once`, `1/4`.
fn how_often(text: &str) -> Result<u32, String> {
    let one_in = || text.strip_prefix("1/").and_then(|n| n.parse().ok()).filter(|&n| n > 0);
    let one_in = if text == "once" { Some(0) } else { one_in() };
    one_in.ok_or_else(|| format!("`{text}` does not say how often; write it as `once` or `1/4`"))
}

fn disk_slow(who: &str, factor: &str, stalls: bool, lasting: Option<Duration>) -> Result<Action, String> {
    Ok(Action::DiskSlow { target: selector::parse(who)?, factor: slowdown(factor)?, stalls, lasting })
}

/// Reads `at orders-0/00000000000000000000.log:137`; nothing is somewhere.
fn place(words: &[&str]) -> Result<Option<Place>, String> {
    let wrong = |text: &str| {
        format!("`{text}` is no place in a file; write it as `at orders-0/00000000000000000000.log:137`")
    };
    let text = match words {
        [] => return Ok(None),
        ["at", text] => *text,
        _ => return Err(wrong(&words.join(" "))),
    };
    let (file, offset) = text.rsplit_once(':').ok_or_else(|| wrong(text))?;
    let is_below = !file.is_empty() && !file.starts_with('/') && file.split('/').all(|part| part != "..");
    let offset = offset.parse().ok().filter(|_| is_below).ok_or_else(|| wrong(text))?;
    Ok(Some(Place { file: file.to_owned(), offset }))
}

fn refuse(who: &str, how: Refusal, lasting: Option<Duration>) -> Result<Action, String> {
    Ok(Action::Refuse { target: selector::parse(who)?, how, lasting })
}

fn crash(who: &str, point: &[&str], death: Death) -> Result<Action, String> {
    let (point, nth) = match point {
        [point] => (*point, 1),
        [point, nth] => {
            let number = nth.parse().ok().filter(|&n| n > 0);
            (*point, number.ok_or_else(|| format!("`{nth}` is no count; write it as `at append 3`"))?)
        }
        _ => return Err("say where, as `crash broker(1) at append 3`".to_owned()),
    };
    Ok(Action::Crash { target: selector::parse(who)?, point: crash_point(point)?, nth, death })
}

fn crash_point(text: &str) -> Result<CrashPoint, String> {
    let kind = match text {
        "append" => "appended",
        "flush" => "flushed",
        "roll" => "segment-rolled",
        "recovery" => "log-recovered",
        other => other,
    };
    if happening::is_kind_of_fact(kind) {
        return Ok(CrashPoint::Fact(kind.to_owned()));
    }
    DiskOperation::of_word(text).map(CrashPoint::Disk).ok_or_else(|| {
        let operations = DiskOperation::ALL.map(DiskOperation::word).join(", ");
        format!(
            "`{text}` is no point to crash at; there are append, flush, roll, recovery, the disk operations \
             ({operations}), and every kind of fact"
        )
    })
}

fn configure(who: &str, setting: &str) -> Result<Action, String> {
    let wrong = || format!("`{setting}` is no setting; write it as `log.segment.bytes=4096`");
    let (key, value) = setting.split_once('=').ok_or_else(wrong)?;
    let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
    let table = toml::Table::from_iter([(key.to_owned(), value.clone())]);
    crate::cluster::broker_config(&table, BrokerId(1)).map_err(|error| error.to_string())?;
    Ok(Action::Configure { target: selector::parse(who)?, key: key.to_owned(), value })
}

fn clock(who: &str, change: &str, lasting: Option<Duration>) -> Result<Action, String> {
    let target = selector::parse(who)?;
    if change.ends_with("ppm") {
        return Ok(Action::ClockDrift { target, ppm: drift(change)?, lasting });
    }
    Ok(Action::ClockBump { target, by_ms: signed_ms(change)?, lasting })
}

/// Reads `+500ppm`.
fn drift(text: &str) -> Result<i64, String> {
    let ppm = text.strip_suffix("ppm").and_then(|ppm| ppm.parse().ok());
    ppm.filter(|ppm: &i64| ppm.abs() <= DRIFT_PPM_MAX)
        .ok_or_else(|| format!("`{text}` is no drift; write it as `+500ppm`"))
}

fn few_descriptors(who: &str, left: &str, lasting: Option<Duration>) -> Result<Action, String> {
    let number = left.parse().ok();
    let left = number.ok_or_else(|| {
        format!("`{left}` is no number of descriptors; write it as `few-descriptors broker(1) 3`")
    })?;
    Ok(Action::FewDescriptors { target: selector::parse(who)?, left, lasting })
}

/// Reads `+30s`, `-11ms`.
fn signed_ms(text: &str) -> Result<i64, String> {
    let millis = |text: &str| units::duration(text).map(|time| time.as_millis() as i64);
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(later), _) => millis(later),
        (_, Some(earlier)) => millis(earlier).map(|ms| -ms),
        (None, None) => Err(format!("`{text}` is no jump of a clock; write it as `+30s` or `-11ms`")),
    }
}

fn reads(text: &str) -> Result<u32, String> {
    let wrong =
        |_| format!("`{text}` is no number of reads; write it as `cut-short broker(1) after 2 times 3`");
    text.parse().map_err(wrong)
}

fn break_off(below: &str, (answered, broken): (&str, &str), made: &[&str]) -> Result<Action, String> {
    let (answered, broken) = (reads(answered)?, reads(broken)?);
    let (reads, applies) = match made {
        [] => (true, true),
        ["unmade"] => (true, false),
        ["writes"] => (false, true),
        ["writes", "unmade"] => (false, false),
        other => {
            return Err(format!("`{}`: only `writes` and `unmade` may follow the counts", other.join(" ")));
        }
    };
    if !below.starts_with('/') {
        return Err(format!("`{below}` is no path in ZooKeeper; write it as `/consumers/billing/offsets`"));
    }
    Ok(Action::BreakOff { below: below.to_owned(), answered, broken, applies, reads })
}

/// Reads `[OPERATION|everything] [at FILE]`; fsyncs, where nothing is said.
fn disk_hang(who: &str, what: &[&str], lasting: Option<Duration>) -> Result<Action, String> {
    let (operation, file) = match what {
        ["everything", file @ ..] => (None, file),
        [word, file @ ..] if *word != "at" => match DiskOperation::of_word(word) {
            Some(operation) => (Some(operation), file),
            None => return Err(format!("`{word}` is no operation of a disk that may hang")),
        },
        file => (Some(DiskOperation::Fsync), file),
    };
    let file = match file {
        [] => None,
        ["at", file] if is_below_log_dir(file) => Some((*file).to_owned()),
        other => {
            let hint = "write it as `at orders-0/00000000000000000000.log`";
            return Err(format!("`{}` is no file of a log; {hint}", other.join(" ")));
        }
    };
    Ok(Action::DiskHangs { target: selector::parse(who)?, operation, file, lasting })
}

fn is_below_log_dir(file: &str) -> bool {
    !file.starts_with('/') && !file.split('/').any(|part| part == "..")
}

fn garble_offset(group: &str, partition: &str, lasting: Option<Duration>) -> Result<Action, String> {
    let lasting = lasting.ok_or("`garble-offset`: write for how long, as `for 4s`")?;
    let partition = selector::partition(partition)
        .ok_or_else(|| format!("`{partition}` is no partition; write it as `orders-0`"))?;
    Ok(Action::GarbleOffset { group: group.to_owned(), partition, lasting })
}

fn detach(who: &str, reaching: &[&str], lasting: Option<Duration>) -> Result<Action, String> {
    let reaches_others = match reaching {
        [] => false,
        ["reaching", "others"] => true,
        other => return Err(format!("`{}`: only `reaching others` may follow", other.join(" "))),
    };
    Ok(Action::Detach { target: selector::parse(who)?, reaches_others, lasting })
}

fn slowdown(text: &str) -> Result<u32, String> {
    let factor = text.strip_prefix('x').and_then(|n| n.parse().ok());
    factor
        .filter(|factor| (2..=SLOWDOWN_MAX).contains(factor))
        .ok_or_else(|| format!("`{text}` is no slowdown; write it as `x100` (x2 to x{SLOWDOWN_MAX})"))
}

#[cfg(test)]
mod tests;
