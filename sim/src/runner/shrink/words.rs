//! A drawn fault in the words of a step: whom it strikes, where, and how badly, as it did when it was drawn.
//!
//! Every fault has words, and its end has none. How long it lasts, and who starts whom again, is `literal`'s to say.

use crate::cluster::{LOG_DIR, ZOOKEEPER};
use crate::history::{DiskOperation, Errno, Failure, Injected, Refusal, broker_of_node};
use crate::scenario::{DISK_FAILURES, units};

/// The words for a fault; `None` for the end of one.
pub(super) fn of(injected: &Injected) -> Option<String> {
    let words = match injected {
        Injected::Kill { target } => format!("kill {}", who(target)),
        Injected::PowerFailure { target } => format!("power-fail {}", who(target)),
        Injected::Pause { target } => format!("pause {}", who(target)),
        Injected::Suspend { target } => format!("suspend {}", who(target)),
        Injected::FewDescriptors { target, left } => format!("few-descriptors {} {left}", who(target)),
        Injected::Stop { target } => format!("stop {}", who(target)),
        Injected::RollingRestart { every_ms, .. } => format!("rolling-restart {every_ms}ms"),
        Injected::Wipe { target } => format!("wipe {}", who(target)),
        Injected::CrashArmed { .. } => of_crash(injected),
        Injected::Reconfigure { target, key, value } => format!("configure {} {key}={value}", who(target)),
        Injected::Cut { .. }
        | Injected::Reset { .. }
        | Injected::ResetOneEnd { .. }
        | Injected::Delay { .. }
        | Injected::Bandwidth { .. }
        | Injected::Stall { .. }
        | Injected::Drop { .. }
        | Injected::Refuse { .. } => of_network(injected),
        Injected::DiskError { .. }
        | Injected::DiskFull { .. }
        | Injected::DiskSlow { .. }
        | Injected::DiskHangs { .. }
        | Injected::DiskLies { .. }
        | Injected::DiskMisdirects { .. }
        | Injected::DiskSectorLost { .. }
        | Injected::BitFlip { .. }
        | Injected::BitRot { .. }
        | Injected::FileTruncated { .. } => of_disk(injected),
        Injected::ClockBump { target, by_ms } => format!("clock {} {by_ms:+}ms", who(target)),
        Injected::ClockDrift { target, ppm } => format!("clock {} {ppm:+}ppm", who(target)),
        Injected::ClockStrobe { target, by_ms } => format!("strobe {} {by_ms:+}ms", who(target)),
        Injected::MonotonicDrift { target, ppm } => format!("monotonic {} {ppm:+}ppm", who(target)),
        Injected::TimersLate { target, grid_ms } => format!("timers-late {} {grid_ms}ms", who(target)),
        Injected::ExpireSession { target, .. } => format!("expire {}", who(target)),
        Injected::LoseReply { .. }
        | Injected::LoseRegistration { .. }
        | Injected::CutShort { .. }
        | Injected::RegistryBreaks { .. }
        | Injected::OffsetGarbled { .. }
        | Injected::ServerLags { .. }
        | Injected::Detach { .. }
        | Injected::WatchesLate { .. }
        | Injected::ReconnectStorm { .. }
        | Injected::QuorumLost { .. } => of_zookeeper(injected),
        Injected::Idle { target } => format!("idle {}", who(target)),
        Injected::Burst { target } => format!("burst {}", who(target)),
        Injected::HotKey { target } => format!("hot-key {}", who(target)),
        Injected::HugeRecord { target, bytes } => {
            format!("huge-record {} {}", who(target), units::written_bytes(*bytes))
        }
        Injected::Slow { target, factor } => format!("slow {} x{factor}", who(target)),
        // The end of one.
        _ => return None,
    };
    Some(words)
}

fn of_crash(injected: &Injected) -> String {
    let Injected::CrashArmed { target, point, nth, power_failure } = injected else {
        unreachable!("{injected:?} is no crash to come")
    };
    let death = if *power_failure { "power-crash" } else { "crash" };
    format!("{death} {} at {point} {nth}", who(target))
}

fn of_zookeeper(injected: &Injected) -> String {
    match injected {
        Injected::LoseReply { target, .. } => format!("lose-reply {}", who(target)),
        Injected::LoseRegistration { target } => format!("lose-reply {} at registration", who(target)),
        Injected::CutShort { target, answered, broken, .. } => {
            format!("cut-short {} after {answered} times {broken}", who(target))
        }
        Injected::OffsetGarbled { group, partition, millis, .. } => {
            format!("garble-offset {group} {partition} for {millis}ms")
        }
        Injected::RegistryBreaks { below, answered, broken, applies, reads, .. } => {
            let writes = if *reads { "" } else { " writes" };
            let unmade = if *applies { "" } else { " unmade" };
            format!("break-off {below} after {answered} times {broken}{writes}{unmade}")
        }
        Injected::ServerLags { .. } => "zookeeper-lags".to_owned(),
        Injected::Detach { target, reaches_others: false, .. } => format!("detach {}", who(target)),
        Injected::Detach { target, .. } => format!("detach {} reaching others", who(target)),
        Injected::WatchesLate { target, millis, .. } => format!("watches-late {} {millis}ms", who(target)),
        Injected::ReconnectStorm { .. } => "reconnect-storm".to_owned(),
        Injected::QuorumLost { .. } => "zookeeper-down".to_owned(),
        other => unreachable!("{other:?} is said elsewhere"),
    }
}

fn of_network(injected: &Injected) -> String {
    match injected {
        Injected::Cut { from, to } => format!("cut {} -> {}", who(from), who(to)),
        Injected::Reset { a, b } => format!("reset {} | {}", who(a), who(b)),
        Injected::ResetOneEnd { of, with } => format!("reset {} -> {}", who(of), who(with)),
        Injected::Delay { from, to, floor_ms, mean_ms: 0 } => {
            format!("delay {} -> {} {floor_ms}ms", who(from), who(to))
        }
        Injected::Delay { from, to, floor_ms, mean_ms } => {
            format!("delay {} -> {} {floor_ms}ms + {mean_ms}ms", who(from), who(to))
        }
        Injected::Bandwidth { from, to, bytes_per_second } => {
            format!("limit {} -> {} to {}", who(from), who(to), units::written_bandwidth(*bytes_per_second))
        }
        Injected::Stall { a, b, connections } => format!("stall {} | {} {connections}", who(a), who(b)),
        Injected::Drop { a, b } => format!("drop {} | {}", who(a), who(b)),
        Injected::Refuse { target, how: Refusal::Refused } => format!("refuse {}", who(target)),
        Injected::Refuse { target, how: Refusal::Unanswered } => format!("ignore-connects {}", who(target)),
        Injected::Refuse { target, how: Refusal::Late } => format!("accept-late {}", who(target)),
        other => unreachable!("{other:?} is none of the network's"),
    }
}

fn of_disk(injected: &Injected) -> String {
    match injected {
        Injected::DiskError { target, operation, failure, errno, one_in } => {
            let with = match errno {
                Errno::Eio => String::new(),
                errno => format!(" {}", errno.name()),
            };
            let often = match one_in {
                0 => " once".to_owned(),
                1 => String::new(),
                n => format!(" 1/{n}"),
            };
            format!("disk-error {} {}{with}{often}", who(target), way_to_fail(*operation, *failure))
        }
        Injected::DiskFull { target, free_bytes: 0 } => format!("disk-full {}", who(target)),
        Injected::DiskFull { target, free_bytes } => {
            format!("disk-full {} leaving {}", who(target), units::written_bytes(*free_bytes))
        }
        Injected::DiskHangs { target, operation, file } => {
            let operation = operation.map_or("everything", DiskOperation::word);
            let at = file.as_ref().map(|file| format!(" at {file}")).unwrap_or_default();
            format!("disk-hang {} {operation}{at}", who(target))
        }
        Injected::DiskSlow { target, factor, stalls } => {
            let stalling = if *stalls { " stalling" } else { "" };
            format!("disk-slow {} x{factor}{stalling}", who(target))
        }
        Injected::DiskLies { target } => format!("disk-lies {}", who(target)),
        Injected::DiskMisdirects { target } => format!("disk-misdirects {}", who(target)),
        Injected::DiskSectorLost { target, file, offset } => {
            format!("disk-sector-lost {} at {}", who(target), place(file, *offset))
        }
        Injected::BitFlip { target, file, offset } => {
            format!("bit-flip {} at {}", who(target), place(file, *offset))
        }
        Injected::BitRot { target, file, offset } => {
            format!("bit-rot {} at {}", who(target), place(file, *offset))
        }
        Injected::FileTruncated { target, file, length } => {
            format!("truncate {} at {}", who(target), place(file, *length))
        }
        other => unreachable!("{other:?} is none of the disk's"),
    }
}

/// An operation fails in the plain way where it has no other.
fn way_to_fail(operation: DiskOperation, failure: Failure) -> &'static str {
    let of_operation = || DISK_FAILURES.iter().filter(|(_, known, _)| *known == operation);
    let exact = of_operation().find(|(_, _, known)| *known == failure);
    exact.or(of_operation().next()).expect("every operation may fail").0
}

fn place(file: &str, offset: u64) -> String {
    format!("{}:{offset}", file.trim_start_matches(LOG_DIR).trim_start_matches('/'))
}

/// The selector of a node.
fn who(node: &str) -> String {
    match broker_of_node(node) {
        Some(broker) => format!("broker({broker})"),
        None if node == ZOOKEEPER => "zookeeper".to_owned(),
        None => format!("client({node})"),
    }
}

#[cfg(test)]
mod tests;
