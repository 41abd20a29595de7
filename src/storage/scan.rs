//! Reading many records: a walk over the indexes of all shards.

use std::sync::atomic::Ordering::Acquire;

use super::{
    Key, Storage,
    index::Root,
    read::{Look, Seen, Sighting, Why},
    shard::{SEQUENCE, Shard},
    slot::{EMPTY, GRAVE, Slot},
};
use crate::{
    driver::Space,
    error::Result,
    primitive::{allowance::Allowance, backoff::Backoff, shard_lock::LIMIT},
    region::participants::Name,
};

/// Which records to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) space: Space,
    pub(crate) prefix: &'a [u8],
    pub(crate) values: bool,
    /// Shards to look at, a bit each.
    pub(crate) shards: u64,
}

/// A record that was read.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) seen: Seen,
}

/// So often what was read may come to more than the store has room for, because others moved it about meanwhile.
const OVERLAPS: u32 = 3;

impl Storage {
    /// All records wanted, dead ones too, in no order. Each was there at some moment of the walk; what was there all
    /// the time is among them, once or (when it was removed and put again meanwhile) twice.
    pub(crate) fn scan(&self, wanted: &Wanted<'_>, allowance: &Allowance) -> Result<Vec<Copied>> {
        let (mut found, mut bytes, mut overlaps) = (Vec::new(), 0, 0);
        for shard in self.shards().filter(|shard| wanted.shards >> shard.index & 1 == 1) {
            let begin = (found.len(), bytes);
            self.look_within(allowance, || {
                found.truncate(begin.0);
                bytes = begin.1;
                match self.scan_shard(shard, wanted, &mut found, &mut bytes, allowance) {
                    Ok(Err(Why::Broken)) if bytes > self.memory.size() => {
                        overlaps += 1;
                        if overlaps > OVERLAPS { Ok(Err(shard.damaged("its records overlap"))) } else { Err(Why::Lost) }
                    }
                    Ok(look) => look.map(Ok),
                    Err(error) => Ok(Err(error)),
                }
            })??;
        }
        Ok(found)
    }

    /// All records wanted, as of one moment. After 16 lost races the shards are locked, if `me` may.
    pub(crate) fn snapshot(
        &self,
        wanted: &Wanted<'_>,
        allowance: &Allowance,
        me: impl FnOnce() -> Result<Name>,
    ) -> Result<Vec<Copied>> {
        let (mut backoff, trying) = (Backoff::default(), allowance.spend());
        // The other half is for the locks.
        while backoff.lost() < 16 && trying.time() < LIMIT / 2 {
            if let Some(found) = self.try_snapshot(wanted, allowance)? {
                return Ok(found);
            }
            backoff.snooze();
        }
        drop(trying);
        // A single walk may have taken longer than all that was left.
        let allowance = allowance.or_at_least(LIMIT / 2);
        let locks = self.lock_shards(me()?, wanted.shards, &allowance)?;
        let found = self.scan(wanted, &allowance);
        drop(locks);
        found
    }

    fn try_snapshot(&self, wanted: &Wanted<'_>, allowance: &Allowance) -> Result<Option<Vec<Copied>>> {
        let sequences = || self.shards().map(|shard| shard.load(SEQUENCE)).collect::<Vec<_>>();
        let before = sequences();
        if before.iter().any(|sequence| sequence & 1 == 1) {
            return Ok(None);
        }
        let found = self.scan(wanted, allowance)?;
        self.acquire_all();
        Ok((before == sequences()).then_some(found))
    }

    /// Lost when the index was replaced meanwhile; broken when records overlap, since together they are larger than
    /// the store.
    fn scan_shard(
        &self,
        shard: Shard<'_>,
        wanted: &Wanted<'_>,
        found: &mut Vec<Copied>,
        bytes: &mut u64,
        allowance: &Allowance,
    ) -> Result<Look<()>> {
        let root_at = shard.root_at(wanted.space);
        let root = Root(self.memory.load(root_at, Acquire));
        if !self.memory.contains(root.offset(), root.slots() * 8) {
            return Ok(Err(Why::broken_if(self.memory.load(root_at, Acquire) == root.0)));
        }
        for number in 0..root.slots() {
            let at = root.slot_at(number);
            if self.memory.load(at, Acquire) & !GRAVE.0 == EMPTY.0 {
                continue;
            }
            let copied = self.look_within(allowance, || {
                if self.memory.load(root_at, Acquire) != root.0 {
                    return Ok(None); // The whole shard is lost.
                }
                let raw = Slot(self.memory.load(at, Acquire));
                let sighting = self.sight(root_at, root, at, raw)?;
                if sighting.slot.is_record() { self.copy(&sighting, wanted) } else { Ok(None) }
            })?;
            let Some((size, copied)) = copied else { continue };
            *bytes += size;
            found.extend(copied);
            if *bytes > self.memory.size() {
                return Ok(Err(Why::broken_if(self.memory.load(root_at, Acquire) == root.0)));
            }
        }
        Ok(if self.memory.load(root_at, Acquire) == root.0 { Ok(()) } else { Err(Why::Lost) })
    }

    /// A record's size, and the record if it is wanted.
    fn copy(&self, sighting: &Sighting, wanted: &Wanted<'_>) -> Look<Option<(u64, Option<Copied>)>> {
        let (record, version, shape) = self.open_record(sighting)?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if shape.key_len >= wanted.prefix.len() && record.key(shape, &mut key).is_none() {
            return Err(if record.still(version) { Why::NoMemory(shape.key_len) } else { Why::Lost });
        }
        let matches = shape.is_of(wanted.space) && !key.is_empty() && key.starts_with(wanted.prefix);
        let matches = matches && self.is_whole(&record, shape);
        if matches && wanted.values && record.value(shape, &mut value).is_none() {
            return Err(if record.still(version) { Why::NoMemory(shape.value_len) } else { Why::Lost });
        }
        let life = record.life(shape);
        if !record.still(version) {
            return Err(Why::Lost);
        }
        let copied = matches.then_some(Copied { key, value, seen: Seen { revision: version, life } });
        Ok(Some((shape.size(), copied)))
    }

    /// How many records are live; a walk only where some have a lifetime.
    pub(crate) fn count(&self, space: Space, allowance: &Allowance) -> Result<u64> {
        use super::shard::{LIVE, MORTALS};
        let mut count = 0;
        let mut walk = 0;
        for shard in self.shards() {
            if shard.load(Shard::field(MORTALS, space)) == 0 {
                count = shard.load(Shard::field(LIVE, space)).saturating_add(count);
            } else {
                walk |= 1 << shard.index;
            }
        }
        if walk != 0 {
            let found = self.scan(&Wanted { space, prefix: b"", values: false, shards: walk }, allowance)?;
            let live = found.iter().filter(|copied| self.is_live(copied.seen.life)).count() as u64;
            count = live.saturating_add(count);
        }
        Ok(count)
    }

    /// Whether keys are still as they were seen.
    pub(crate) fn revision_of(&self, key: &Key<'_>) -> Result<Option<u64>> {
        Ok(self.peek(key)?.filter(|seen| self.is_live(seen.life)).map(|seen| seen.revision))
    }
}
