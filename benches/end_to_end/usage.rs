//! What a process has used, as the kernel counts it.

use std::io;

/// Totals since the process started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub user_s: f64,
    pub system_s: f64,
    /// read(2)-like and write(2)-like system calls; sends on sockets count only where the kernel counts them.
    pub reads: u64,
    pub writes: u64,
    pub rss_kib: u64,
}

impl Usage {
    /// Reads `/proc/PID`. Ticks are 10 ms: a round has to last many of them.
    pub fn of(pid: u32) -> io::Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks =
            |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default() / 100.0;
        let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage {
            user_s: ticks(11),
            system_s: ticks(12),
            reads: field(&io, "syscr:"),
            writes: field(&io, "syscw:"),
            rss_kib: field(&status, "VmRSS:"),
        })
    }

    pub fn since(self, earlier: Usage) -> Usage {
        Usage {
            user_s: self.user_s - earlier.user_s,
            system_s: self.system_s - earlier.system_s,
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            rss_kib: self.rss_kib,
        }
    }

    pub fn total_s(self) -> f64 {
        self.user_s + self.system_s
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or_default()
}
