//! Faults in words, one line each.

use super::evidence::person;
use crate::history::{DiskOperation, Errno, Failure, Injected, Refusal};
use crate::scenario::units;

/// What was done, as a person would say it.
pub(crate) fn text(fault: &Injected) -> String {
    match fault {
        Injected::Kill { target } => format!("kill {}", person(target)),
        Injected::PowerFailure { target } => format!("power failure {}", person(target)),
        Injected::Pause { target } => format!("pause {}", person(target)),
        Injected::Suspend { target } => format!("suspend {}, its timers and its links", person(target)),
        Injected::FewDescriptors { target, left } => {
            format!("{} may open {left} more files and sockets", person(target))
        }
        Injected::EnoughDescriptors { target } => {
            format!("{} may open as much as it likes", person(target))
        }
        Injected::Resume { target } => format!("resume {}", person(target)),
        Injected::Start { target } => format!("start {}", person(target)),
        Injected::Stop { target } => format!("ask {} to end", person(target)),
        Injected::RollingRestart { every_ms, .. } => {
            format!("restart the brokers one after the other, one every {every_ms} ms")
        }
        Injected::Wipe { target } => format!("{} gets an empty disk", person(target)),
        Injected::CrashArmed { target, point, nth, power_failure } => {
            let death = if *power_failure { "lose power" } else { "die" };
            format!("{} will {death} at {point} number {nth} from now", person(target))
        }
        Injected::Reconfigure { target, key, value } => {
            format!("{} will run with {key} = {value}", person(target))
        }
        Injected::ClockBump { target, by_ms } => {
            format!("wall clock of {} jumps by {by_ms:+} ms", person(target))
        }
        Injected::ClockDrift { target, ppm } => {
            format!("wall clock of {} drifts {ppm:+} ppm", person(target))
        }
        Injected::ClockStrobe { target, by_ms } => {
            format!("wall clock of {} jumps by {by_ms:+} ms and back, again and again", person(target))
        }
        Injected::ClockRight { target } => format!("wall clock of {} is right", person(target)),
        Injected::MonotonicDrift { target, ppm } => {
            format!("monotonic clock of {} drifts {ppm:+} ppm", person(target))
        }
        Injected::TimersLate { target, grid_ms } => {
            format!("timers of {} fire together, every {grid_ms} ms", person(target))
        }
        Injected::TimersRight { target } => {
            format!("timers and monotonic clock of {} are right", person(target))
        }
        Injected::Idle { target } => format!("{} has nothing to send", person(target)),
        Injected::Burst { target } => format!("{} sends as fast as it can", person(target)),
        Injected::HotKey { target } => format!("{} sends every record under one key", person(target)),
        Injected::HugeRecord { target, bytes } => {
            format!("the next record of {} has {bytes} bytes", person(target))
        }
        Injected::UsualLoad { target } => format!("{} sends at its usual rate", person(target)),
        Injected::Slow { target, factor } => format!("{} works x{factor} slower", person(target)),
        Injected::UsualPace { target } => format!("{} works at its usual pace", person(target)),
        _ => network(fault).or_else(|| disk(fault)).or_else(|| zookeeper(fault)).expect("one of the three"),
    }
}

fn network(fault: &Injected) -> Option<String> {
    let text = match fault {
        Injected::Cut { from, to } => format!("cut {} -> {}", person(from), person(to)),
        Injected::Mend { from, to } => format!("mend {} -> {}", person(from), person(to)),
        Injected::Reset { a, b } => format!("reset {} | {}", person(a), person(b)),
        Injected::ResetOneEnd { of, with } => {
            format!("reset what {} has of its connections with {}", person(of), person(with))
        }
        Injected::Delay { from, to, floor_ms, mean_ms } => {
            format!("{} -> {} takes {floor_ms} ms and {mean_ms} more on average", person(from), person(to))
        }
        Injected::Prompt { from, to } => format!("{} -> {} is prompt again", person(from), person(to)),
        Injected::Bandwidth { from, to, bytes_per_second } => {
            let bandwidth = units::written_bandwidth(*bytes_per_second);
            format!("{} -> {} carries {bandwidth}", person(from), person(to))
        }
        Injected::FullBandwidth { from, to } => {
            format!("{} -> {} carries as much as is sent", person(from), person(to))
        }
        Injected::Stall { a, b, connections } => {
            format!("stall {connections} connections of {} | {}", person(a), person(b))
        }
        Injected::Release { a, b, connections } => {
            format!("release {connections} connections of {} | {}", person(a), person(b))
        }
        Injected::Drop { a, b } => format!("silently drop {} | {}", person(a), person(b)),
        Injected::Refuse { target, how } => {
            let how = match how {
                Refusal::Refused => "refuses connections",
                Refusal::Unanswered => "answers no attempt to connect",
                Refusal::Late => "accepts connections late",
            };
            format!("{} {how}", person(target))
        }
        Injected::Accept { target } => format!("{} accepts connections", person(target)),
        _ => return None,
    };
    Some(text)
}

fn disk(fault: &Injected) -> Option<String> {
    let text = match fault {
        Injected::DiskError { target, operation, failure, errno, one_in } => {
            let often = match one_in {
                0 => " once".to_owned(),
                1 => String::new(),
                n => format!(" one time in {n}"),
            };
            let how = match failure {
                Failure::Plain => "",
                Failure::Short => ", after a part was written",
                Failure::Reverts => ", and reverts to the old bytes",
                Failure::Late => ", and reports it at the next one",
            };
            let with = if *errno == Errno::Eio { "" } else { &format!(" with {}", errno.name()) };
            format!("disk of {} fails {}{with}{often}{how}", person(target), operation.word())
        }
        Injected::DiskFull { target, free_bytes: 0 } => format!("disk of {} is full", person(target)),
        Injected::DiskFull { target, free_bytes } => {
            format!("disk of {} is full but for {free_bytes} bytes", person(target))
        }
        Injected::DiskSlow { target, factor, stalls } => {
            let stalls = if *stalls { ", and a write holds up all of its process" } else { "" };
            format!("disk of {} is x{factor} slower{stalls}", person(target))
        }
        Injected::DiskHangs { target, operation, file } => {
            let what = operation.map_or("anything", DiskOperation::word);
            let at = file.as_ref().map(|file| format!(" at {file}")).unwrap_or_default();
            format!("disk of {} does not come to the end of {what}{at}", person(target))
        }
        Injected::DiskLies { target } => format!("disk of {} lies about fsync", person(target)),
        Injected::DiskMisdirects { target } => format!("disk of {} misdirects a write", person(target)),
        Injected::DiskSectorLost { target, file, offset } => {
            format!("disk of {} cannot read {file} at {offset}", person(target))
        }
        Injected::BitFlip { target, file, offset } => {
            format!("a bit flips on {}, {file} at {offset}", person(target))
        }
        Injected::BitRot { target, file, offset } => {
            format!("a bit rots on the device of {}, {file} at {offset}", person(target))
        }
        Injected::FileTruncated { target, file, length } => {
            format!("on {}, {file} is cut off at {length}", person(target))
        }
        Injected::DiskHealthy { target } => format!("disk of {} is healthy", person(target)),
        _ => return None,
    };
    Some(text)
}

fn zookeeper(fault: &Injected) -> Option<String> {
    let text = match fault {
        Injected::ExpireSession { target, session } => {
            format!("expire the session of {} ({session:#x})", person(target))
        }
        Injected::LoseReply { target, session } => {
            format!("lose the reply to the next write of {} ({session:#x})", person(target))
        }
        Injected::LoseRegistration { target } => {
            format!("lose the reply to the next registration of {}", person(target))
        }
        Injected::CutShort { target, session, answered, broken } => {
            let who = person(target);
            format!(
                "after {answered} reads of {who}, {broken} break off in the middle of the reply ({session:#x})"
            )
        }
        Injected::OffsetGarbled { group, partition, millis, .. } => {
            format!("what {group} committed of {partition} is no offset for {millis} ms")
        }
        Injected::RegistryBreaks { target, below, answered, broken, applies, reads } => {
            let what = if *reads { "requests" } else { "writes" };
            let made = if *applies { "made" } else { "not made" };
            format!(
                "after {answered} {what} to {} about {below}, {broken} break off; writes among them are {made}",
                person(target)
            )
        }
        Injected::Detach { target, session, reaches_others } => {
            let others = if *reaches_others { ", and others have one" } else { "" };
            format!("the follower that serves {} loses its leader{others} ({session:#x})", person(target))
        }
        Injected::Rejoin { target, session } => {
            format!("the follower that serves {} drops it ({session:#x})", person(target))
        }
        Injected::ServerLags { target } => format!("a second server of {} falls behind", person(target)),
        Injected::ServerCaughtUp { target } => format!("the second server of {} catches up", person(target)),
        Injected::WatchesLate { target, session, millis } => {
            format!("watch events reach {} {millis} ms late ({session:#x})", person(target))
        }
        Injected::WatchesPrompt { target, .. } => {
            format!("watch events reach {} at once", person(target))
        }
        Injected::ReconnectStorm { target } => format!("close every connection to {}", person(target)),
        Injected::QuorumLost { target } => format!("{} has no quorum", person(target)),
        Injected::QuorumBack { target } => format!("{} has its quorum back", person(target)),
        _ => return None,
    };
    Some(text)
}
