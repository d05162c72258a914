//! Whom a fault touches.

use std::sync::Arc;

use super::Injected;

impl Injected {
    /// The nodes that it touches.
    pub fn targets(&self) -> Vec<&Arc<str>> {
        match self {
            Injected::Kill { target }
            | Injected::PowerFailure { target }
            | Injected::Pause { target }
            | Injected::Resume { target }
            | Injected::Start { target }
            | Injected::Stop { target }
            | Injected::Wipe { target }
            | Injected::RollingRestart { target, .. }
            | Injected::CrashArmed { target, .. }
            | Injected::Reconfigure { target, .. }
            | Injected::Refuse { target, .. }
            | Injected::Accept { target }
            | Injected::DiskError { target, .. }
            | Injected::DiskFull { target }
            | Injected::DiskSlow { target, .. }
            | Injected::DiskLies { target }
            | Injected::DiskMisdirects { target }
            | Injected::DiskSectorLost { target, .. }
            | Injected::BitFlip { target, .. }
            | Injected::FileTruncated { target, .. }
            | Injected::DiskHealthy { target }
            | Injected::ClockBump { target, .. }
            | Injected::ClockDrift { target, .. }
            | Injected::ClockStrobe { target, .. }
            | Injected::ClockRight { target }
            | Injected::ExpireSession { target, .. }
            | Injected::LoseReply { target, .. }
            | Injected::LoseRegistration { target }
            | Injected::CutShort { target, .. }
            | Injected::ServerLags { target }
            | Injected::ServerCaughtUp { target }
            | Injected::Detach { target, .. }
            | Injected::Rejoin { target, .. }
            | Injected::WatchesLate { target, .. }
            | Injected::WatchesPrompt { target, .. }
            | Injected::ReconnectStorm { target }
            | Injected::QuorumLost { target }
            | Injected::QuorumBack { target }
            | Injected::Idle { target }
            | Injected::Burst { target }
            | Injected::HotKey { target }
            | Injected::HugeRecord { target, .. }
            | Injected::UsualLoad { target }
            | Injected::Slow { target, .. }
            | Injected::UsualPace { target } => vec![target],
            Injected::Cut { from, to }
            | Injected::Mend { from, to }
            | Injected::Delay { from, to, .. }
            | Injected::Prompt { from, to }
            | Injected::Bandwidth { from, to, .. }
            | Injected::FullBandwidth { from, to } => vec![from, to],
            Injected::Reset { a, b }
            | Injected::Stall { a, b, .. }
            | Injected::Release { a, b, .. }
            | Injected::Drop { a, b } => vec![a, b],
        }
    }
}
