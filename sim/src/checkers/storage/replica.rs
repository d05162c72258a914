//! One partition's log on one broker, as its facts tell it.
//!
//! Each step answers what is wrong with it, if anything is, and then believes the log.

use seedlog::types::Offset;

#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub base: Offset,
    pub last: Offset,
    pub crc: u32,
    pub appended_at: usize,
}

/// What is wrong, and the earlier entries that show it.
pub struct Wrong {
    /// Where.
    pub offset: Offset,
    pub message: String,
    pub earlier: Vec<usize>,
}

#[derive(Default)]
pub struct Replica {
    /// In offset order.
    batches: Vec<Batch>,
    /// Where it begins. Nothing moves it yet: there is no retention (S14).
    start: Offset,
    end: Offset,
    flushed: Offset,
    flushed_at: Option<usize>,
    /// Its machine lost its power, or an fsync failed, since the last recovery.
    cache_lost_at: Option<usize>,
}

impl Replica {
    pub fn append(&mut self, at: usize, base: Offset, last: Offset, crc: u32) -> Option<Wrong> {
        let end = self.end;
        let before = self.batches.last().map(|batch| batch.appended_at);
        self.batches.push(Batch { base, last, crc, appended_at: at });
        self.end = last.next();
        if base < end {
            let message = format!("a batch was appended at {base}, the log ended at {end}");
            return Some(Wrong { offset: base, message, earlier: before.into_iter().collect() });
        }
        (last < base).then(|| Wrong {
            offset: base,
            message: format!("a batch ends at {last}, before its base {base}"),
            earlier: Vec::new(),
        })
    }

    pub fn flush(&mut self, at: usize, end: Offset) -> Option<Wrong> {
        let (log_end, flushed) = (self.end, self.flushed);
        if end >= flushed {
            (self.flushed, self.flushed_at) = (end, Some(at));
        }
        (end > log_end).then(|| Wrong {
            offset: log_end,
            message: format!("flushed up to {end}, the log ends at {log_end}"),
            earlier: Vec::new(),
        })
    }

    pub fn truncate(&mut self, end: Offset) -> Option<Wrong> {
        let inside = self.cut(end);
        inside.map(|batch| Wrong {
            offset: end,
            message: format!(
                "truncated to {end}, which is inside of the batch {}..={}",
                batch.base, batch.last
            ),
            earlier: vec![batch.appended_at],
        })
    }

    pub fn lose_cache(&mut self, at: usize) {
        self.cache_lost_at = Some(at);
    }

    /// Recovery found the log to begin at `start`.
    pub fn begin(&mut self, start: Offset) -> Option<Wrong> {
        let before = std::mem::replace(&mut self.start, start);
        let first = self.batches.first().map(|batch| batch.appended_at);
        (start > before).then(|| Wrong {
            offset: before,
            message: format!("recovered from {start} on, the log had begun at {before}"),
            earlier: first.into_iter().collect(),
        })
    }

    /// Recovery found the log to end at `end`; `clean` = it trusted a clean shutdown.
    pub fn recover(&mut self, at: usize, end: Offset, clean: bool) -> Option<Wrong> {
        let wrong = self.judge_recovery(end, clean);
        self.cut(end);
        // Recovery syncs what it keeps before it counts it.
        (self.end, self.flushed, self.flushed_at) = (end, end, Some(at));
        self.cache_lost_at = None;
        wrong
    }

    pub fn end(&self) -> Offset {
        self.end
    }

    /// An append took effect that nobody could state.
    pub fn grow_unstated(&mut self, end: Offset) -> Option<Wrong> {
        self.end = end;
        None
    }

    /// The batch that holds `offset`.
    pub fn batch_at(&self, offset: Offset) -> Option<&Batch> {
        let index = self.batches.partition_point(|batch| batch.last < offset);
        self.batches.get(index).filter(|batch| batch.base <= offset)
    }

    fn judge_recovery(&self, end: Offset, clean: bool) -> Option<Wrong> {
        let last = self.batches.last().map(|batch| batch.appended_at);
        let earlier: Vec<usize> = self.cache_lost_at.into_iter().collect();
        if end > self.end {
            let message = format!("recovered up to {end}, the log had ended at {}", self.end);
            return Some(Wrong {
                offset: self.end,
                message,
                earlier: last.into_iter().chain(earlier).collect(),
            });
        }
        if end < self.flushed {
            let message = format!("recovered up to {end}, though {} had been flushed", self.flushed);
            return Some(Wrong {
                offset: end,
                message,
                earlier: self.flushed_at.into_iter().chain(earlier).collect(),
            });
        }
        if let Some(batch) = self.batch_at(end).filter(|batch| batch.base < end) {
            let message = format!(
                "recovered up to {end}, which is inside of the batch {}..={}",
                batch.base, batch.last
            );
            return Some(Wrong { offset: end, message, earlier: vec![batch.appended_at] });
        }
        let may_lose = self.cache_lost_at.is_some() && !clean;
        (end < self.end && !may_lose).then(|| {
            let why = if clean { "after a clean shutdown" } else { "though the page cache had survived" };
            let message = format!("recovered up to {end} of {}, {why}", self.end);
            Wrong { offset: end, message, earlier: last.into_iter().chain(earlier).collect() }
        })
    }

    /// Drops what lies at and above `end`; answers the batch that `end` splits.
    fn cut(&mut self, end: Offset) -> Option<Batch> {
        let split = self.batch_at(end).filter(|batch| batch.base < end).copied();
        self.batches.truncate(self.batches.partition_point(|batch| batch.last < end));
        self.end = self.end.min(end);
        if self.flushed > end {
            self.flushed = end;
        }
        split
    }
}
