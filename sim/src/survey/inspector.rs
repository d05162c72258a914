//! Looks at a broker's disk at the moment at which it states something of it: what it calls flushed has to be there if the
//! power fails now, and the files of a log are whole batches and nothing else.
//!
//! Goes by the facts and the bytes alone. From one look to the next only what is new is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seedlog::facts::Fact;
use seedlog::log::directory_name;
use seedlog::record::{self, BatchHeader};
use seedlog::runtime::sim::disk::{self, View};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, TopicPartition};

use super::{CHECKPOINTS, indexes, partition_of_log};
use crate::cluster::LOG_DIR;
use crate::history::Seen;

/// What brokers have stated of their logs so far.
#[derive(Default)]
pub struct Inspector {
    logs: BTreeMap<(BrokerId, TopicPartition), Known>,
}

/// One log, as its broker states it, and how far it was looked at.
struct Known {
    node: NodeId,
    directory: PathBuf,
    /// By base offset.
    segments: BTreeSet<Offset>,
    end: Offset,
    flushed: Offset,
    /// As programs see it.
    seen: Place,
    /// What would survive.
    stored: Place,
    /// It was found to be wrong: nothing behind can be judged before it is recovered.
    is_over: bool,
    /// Its device was found to have lied.
    is_lied_about: bool,
}

/// Where a walk over a log's files stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: Offset,
    byte: u64,
    next: Offset,
    /// Of the batch in front of it.
    epoch: LeaderEpoch,
}

impl Inspector {
    /// Takes what the node states, and looks whether it is so.
    pub fn inspect(&mut self, node: NodeId, fact: &Fact) -> Vec<Seen> {
        let (broker, partition, end) = match fact {
            Fact::LogRecovered { broker, partition, log_start, log_end, .. } => {
                let known = Known::recovered(node, partition, *log_start, *log_end);
                self.logs.insert((*broker, partition.clone()), known);
                (broker, partition, log_end)
            }
            Fact::Flushed { broker, partition, end } => (broker, partition, end),
            Fact::Appended { broker, partition, epoch, last, .. } => {
                return self.look_at_append(*broker, partition, *epoch, last.next());
            }
            _ => {
                self.note(fact);
                return Vec::new();
            }
        };
        let Some(known) = self.logs.get_mut(&(*broker, partition.clone())) else { return Vec::new() };
        known.flushed = *end;
        let wrong = match fact {
            Fact::LogRecovered { .. } => known.look().or_else(|| known.look_at_indexes()),
            _ => known.look(),
        };
        wrong.map(|wrong| wrong.seen(*broker, partition)).into_iter().collect()
    }

    fn look_at_append(
        &mut self,
        broker: BrokerId,
        partition: &TopicPartition,
        epoch: LeaderEpoch,
        end: Offset,
    ) -> Vec<Seen> {
        let Some(known) = self.logs.get_mut(&(broker, partition.clone())) else { return Vec::new() };
        known.end = end;
        known.look_behind(epoch).map(|wrong| wrong.seen(broker, partition)).into_iter().collect()
    }

    fn note(&mut self, fact: &Fact) {
        let (Fact::SegmentRolled { broker, partition, .. } | Fact::Truncated { broker, partition, .. }) =
            fact
        else {
            return;
        };
        let Some(known) = self.logs.get_mut(&(*broker, partition.clone())) else { return };
        match fact {
            Fact::SegmentRolled { base, .. } => drop(known.segments.insert(*base)),
            // What was looked at may be gone.
            _ => known.is_over = true,
        }
    }

    /// Looks at the logs of a broker that is about to begin: how far they go on behind what was stated.
    pub fn before_start(&self, broker: BrokerId) -> Vec<Seen> {
        let own = self.logs.iter().filter(|((host, _), _)| *host == broker);
        let unstated = own.filter_map(|((_, partition), known)| {
            let (to, is_one_write) = known.unstated()?;
            Some(Seen::Unstated { broker, partition: partition.clone(), from: known.end, to, is_one_write })
        });
        unstated.collect()
    }
}

/// What is not as it was stated.
enum Wrong {
    NotStored { stated: Offset, has: Offset, is_claimed: bool, what: String },
    Misshapen { at: Offset, what: String },
}

impl Wrong {
    fn seen(self, broker: BrokerId, partition: &TopicPartition) -> Seen {
        let partition = partition.clone();
        match self {
            Wrong::NotStored { stated, has, is_claimed, what } => {
                Seen::NotStored { broker, partition, stated, has, is_claimed, what: what.into() }
            }
            Wrong::Misshapen { at, what } => Seen::Misshapen { broker, partition, at, what: what.into() },
        }
    }
}

impl Known {
    fn recovered(node: NodeId, partition: &TopicPartition, start: Offset, end: Offset) -> Known {
        let place = Place { segment: start, byte: 0, next: start, epoch: LeaderEpoch::UNKNOWN };
        Known {
            node,
            directory: Path::new(LOG_DIR).join(directory_name(partition)),
            segments: segments_of(node, partition),
            end,
            flushed: end,
            seen: place,
            stored: place,
            is_over: false,
            is_lied_about: false,
        }
    }

    fn look(&mut self) -> Option<Wrong> {
        if self.is_over {
            return None;
        }
        let wrong = self.look_at_files().or_else(|| self.look_at_storage());
        self.is_over |= !matches!(wrong, None | Some(Wrong::NotStored { is_claimed: true, .. }));
        wrong
    }

    /// The files as programs see them hold what was appended and no more.
    fn look_at_files(&mut self) -> Option<Wrong> {
        let mut place = self.seen;
        let walked = self.walk(View::Current, &mut place, self.end).and_then(|()| self.ends_at(&mut place));
        self.seen = place;
        let at = place.next;
        walked.err().map(|what| Wrong::Misshapen { at, what })
    }

    /// What was just appended says the epoch that its broker stated. Behind it nothing stands but the batches of the same
    /// write: what a failed one has left there was cut off before.
    fn look_behind(&mut self, epoch: LeaderEpoch) -> Option<Wrong> {
        if self.is_over {
            return None;
        }
        let mut place = self.seen;
        let walked = self.walk(View::Current, &mut place, self.end);
        self.seen = place;
        let of_epoch = || match place.epoch {
            stored if stored == epoch => Ok(()),
            stored => Err(format!("the batch in front says epoch {stored}, it was appended in {epoch}")),
        };
        let whole = walked.and_then(|()| of_epoch()).and_then(|()| self.walk_to_the_files_end(&mut place));
        self.is_over |= whole.is_err();
        whole.err().map(|what| Wrong::Misshapen { at: place.next, what })
    }

    fn look_at_indexes(&self) -> Option<Wrong> {
        self.segments.iter().find_map(|segment| {
            let index = self.bytes(View::Current, &index_path(&self.directory, *segment), 0)?;
            let log = self.bytes(View::Current, &log_path(&self.directory, *segment), 0)?;
            let (at, what) = indexes::objection(*segment, &index, &log)?;
            Some(Wrong::Misshapen { at, what })
        })
    }

    /// What would survive reaches as far as what was flushed, also in the words of the checkpoint.
    fn look_at_storage(&mut self) -> Option<Wrong> {
        let mut checkpoints = CHECKPOINTS.iter();
        let checkpoint =
            checkpoints.find_map(|name| self.bytes(View::Current, &self.directory.join(name), 0));
        let checkpointed = checkpoint.and_then(|bytes| flushed_end_in(&bytes)).unwrap_or_default();
        let stated = self.flushed.max(checkpointed);
        let mut place = self.stored;
        let stored = self.walk(View::Durable, &mut place, stated);
        let has = place.next;
        let Err(what) = stored else {
            self.stored = place;
            return None;
        };
        let mut claimed = self.stored;
        let is_claimed = self.walk(View::Claimed, &mut claimed, stated).is_ok();
        self.stored = if is_claimed { claimed } else { place };
        let is_news = !is_claimed || !std::mem::replace(&mut self.is_lied_about, true);
        is_news.then_some(Wrong::NotStored { stated, has, is_claimed, what })
    }

    /// How far the log goes on behind what was stated, and whether one write brought all of that.
    fn unstated(&self) -> Option<(Offset, bool)> {
        // What was seen to be whole may have been damaged since then.
        let mut place = self.seen;
        self.walk(View::Current, &mut place, self.end).ok()?;
        if let Some(next) = self.segment_behind(place.segment).filter(|next| *next == place.next) {
            place = Place { segment: next, byte: 0, ..place };
        }
        let mut grown = place;
        // It ends where nothing follows.
        let _end = self.walk(View::Current, &mut grown, Offset(i64::MAX));
        let last_write = disk::last_write(self.node, &log_path(&self.directory, place.segment));
        let is_one_write = grown.segment == place.segment && last_write.start <= place.byte;
        (grown.next > self.end).then_some((grown.next, is_one_write))
    }

    /// Walks over whole batches with true CRCs until `upto`. An error says what stands there in the place of the next.
    fn walk(&self, view: View, place: &mut Place, upto: Offset) -> Result<(), String> {
        while place.next < upto {
            let path = log_path(&self.directory, place.segment);
            let bytes = self.bytes(view, &path, place.byte);
            let mut rest = Bytes::from(bytes.ok_or_else(|| format!("there is no {}", path.display()))?);
            while place.next < upto && !rest.is_empty() {
                let batch = batch_at(place.next, &rest)?;
                place.byte += batch.size() as u64;
                (place.next, place.epoch) = (batch.next_offset(), batch.leader_epoch);
                drop(rest.split_to(batch.size()));
            }
            if place.next < upto {
                self.step_into_next(place)?;
            }
        }
        Ok(())
    }

    fn walk_to_the_files_end(&self, place: &mut Place) -> Result<(), String> {
        let path = log_path(&self.directory, place.segment);
        let mut rest = Bytes::from(self.bytes(View::Current, &path, place.byte).unwrap_or_default());
        while !rest.is_empty() {
            let batch = batch_at(place.next, &rest)
                .map_err(|what| format!("{} bytes lie behind an append: {what}", rest.len()))?;
            place.next = batch.next_offset();
            drop(rest.split_to(batch.size()));
        }
        Ok(())
    }

    fn step_into_next(&self, place: &mut Place) -> Result<(), String> {
        let Some(next) = self.segment_behind(place.segment) else {
            return Err(format!("the last file ends at {}", place.next));
        };
        if next != place.next {
            return Err(format!("a file ends at {}, and the next one begins at {next}", place.next));
        }
        *place = Place { segment: next, byte: 0, ..*place };
        Ok(())
    }

    /// Nothing follows the place where the log ends.
    fn ends_at(&self, place: &mut Place) -> Result<(), String> {
        loop {
            let path = log_path(&self.directory, place.segment);
            let behind = self.bytes(View::Current, &path, place.byte).unwrap_or_default().len();
            if behind > 0 {
                return Err(format!("{behind} bytes of {} lie behind the log's end", path.display()));
            }
            if self.segment_behind(place.segment).is_none() {
                return Ok(());
            }
            self.step_into_next(place)?;
        }
    }

    fn segment_behind(&self, segment: Offset) -> Option<Offset> {
        self.segments.range((Bound::Excluded(segment), Bound::Unbounded)).next().copied()
    }

    fn bytes(&self, view: View, path: &Path, from: u64) -> Option<Vec<u8>> {
        disk::bytes_from(self.node, path, view, from)
    }
}

/// The batch that begins here, which has to be the one with this base offset.
fn batch_at(base: Offset, bytes: &Bytes) -> Result<BatchHeader, String> {
    let header = BatchHeader::parse(bytes).map_err(|error| format!("no batch begins there: {error}"))?;
    if header.base_offset != base {
        return Err(format!("a batch with the base offset {} stands there", header.base_offset));
    }
    if header.size() > bytes.len() {
        return Err(format!("of {} bytes of a batch {} are there", header.size(), bytes.len()));
    }
    let batch = bytes.slice(..header.size());
    record::check_crc(&header, &batch).map_err(|error| format!("its batch is not sound: {error}"))?;
    Ok(header)
}

/// What a checkpoint says was flushed: magic, log start, flushed end, and the rest up to a CRC. `None`: it is damaged.
fn flushed_end_in(checkpoint: &[u8]) -> Option<Offset> {
    let is_sound = checkpoint.starts_with(b"SLCHECK") && indexes::has_true_crc(&[], checkpoint);
    let end = checkpoint.get(16..24).filter(|_| is_sound)?;
    Some(Offset(i64::from_be_bytes(end.try_into().ok()?)))
}

fn segments_of(node: NodeId, partition: &TopicPartition) -> BTreeSet<Offset> {
    let own = disk::list_files(node);
    let own = own.into_iter().filter(|path| partition_of_log(path).as_ref() == Some(partition));
    own.filter_map(|path| path.file_stem()?.to_str()?.parse().ok().map(Offset)).collect()
}

fn log_path(directory: &Path, base: Offset) -> PathBuf {
    directory.join(format!("{:020}.log", base.0))
}

fn index_path(directory: &Path, base: Offset) -> PathBuf {
    directory.join(format!("{:020}.index", base.0))
}

#[cfg(test)]
mod tests;
