//! Reading without a lock.
//!
//! What is loaded may be half of one thing and half of another; it is a fact only once this was seen, in this order:
//! 1. the root, then the slot, then the record's version, which is not 0 (attack 16);
//! 2. slot and root again, unchanged: the version belongs to a record that was committed (attack 14: through a
//!    superseded index one can reach a block that was filled again for the same key by a writer that died before its
//!    commit);
//! 3. key and value, copied;
//! 4. the version again, unchanged: the copy is whole.
//!
//! Hit, miss and key mismatch (attack 15) are all believed only then; else everything begins anew, after a while with
//! pauses. A pause is no waiting for a writer: each lost race means that somebody's change was done.

use std::{num::NonZeroU64, sync::atomic::Ordering::Acquire};

use super::{
    Key, Storage,
    index::Root,
    part,
    plain::Sighted,
    record::{Life, Record, Shape},
    slot::{EMPTY, Slot},
};
use crate::{
    broken::{self, Defect},
    error::{Error, ErrorKind, Result},
    primitive::{allowance::Allowance, atomics::fence, backoff::Backoff},
    region::glance::Glance,
};

/// So many contradictions in a row are no race either. With the pauses in between they take about 0.1 s.
const CONTRADICTIONS: u32 = 120;

/// What one look at a record comes to: a fact, or why there is none.
pub(crate) type Look<T> = Result<T, Why>;

/// Why a look gave no fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Somebody changed it meanwhile.
    Lost,
    /// It contradicts itself although root and slot are as before. A record that was replaced, filled again and put
    /// back between two loads looks so too: once, by chance.
    Broken,
    /// There is no memory for so many bytes.
    NoMemory(usize),
}

impl Why {
    /// What a contradiction means: nothing, if things have changed since.
    pub(crate) fn broken_if(unchanged: bool) -> Self {
        if unchanged { Self::Broken } else { Self::Lost }
    }
}

/// A record that was read whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) revision: u64,
    pub(crate) life: Life,
}

/// A slot as a reader sees it: where it is, what stands there, and the record that this means.
#[derive(Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) root_at: u64,
    pub(crate) root: Root,
    pub(crate) at: u64,
    raw: Slot,
    entry: Option<part::Sighting>,
    /// The record's slot; marks are looked through.
    pub(crate) slot: Slot,
}

impl Sighting {
    /// Whether slot, root and transaction are as they were.
    #[inline]
    pub(crate) fn holds(&self, storage: &Storage) -> bool {
        storage.memory.load(self.at, Acquire) == self.raw.0
            && (storage.memory.load(self.root_at, Acquire) == self.root.0 || broken::has(Defect::RootNotReread))
            && self.entry.is_none_or(|entry| entry.holds(storage))
    }
}

impl Storage {
    /// Copies the value of a key into `into` if it is there; revision and lifetime, dead or not.
    #[cfg(all(loom, test))]
    pub(crate) fn read(&self, key: &Key<'_>, into: &mut Vec<u8>) -> Result<Option<Seen>> {
        match self.memory.glance().and_then(|glance| self.read_plain(glance, key, Some(&mut *into))) {
            Some(revision) => Ok(Some(Seen { revision: revision.get(), life: Life::Forever })),
            None => self.read_thoroughly(key, into),
        }
    }

    /// The same, whatever is there.
    pub(crate) fn read_thoroughly(&self, key: &Key<'_>, into: &mut Vec<u8>) -> Result<Option<Seen>> {
        self.look_until_fact(|| self.try_read(key, Some(&mut *into)))
    }

    /// What nearly every read comes to: the revision of a record without a lifetime, which nobody is changing. The same
    /// steps as in [`Storage::read_thoroughly`], where `None` leads: to whatever is absent, marked, mortal, in doubt, lost
    /// or broken.
    #[inline(always)]
    pub(crate) fn read_plain(
        &self,
        glance: Glance<'_>,
        key: &Key<'_>,
        into: Option<&mut Vec<u8>>,
    ) -> Option<NonZeroU64> {
        // Who believes a mismatch, believes the first one: reading thoroughly would be a second look.
        if broken::has(Defect::MismatchBelieved) {
            return None;
        }
        let header = glance.header();
        let root_at = self.geometry.root(key.shard, key.space as u64);
        let root = Root(header.load(root_at, Acquire));
        let found = Sighted::of(key, root, glance)?;
        found.prefetch();
        let version = NonZeroU64::new(found.version())?;
        let unchanged =
            found.is_unchanged() && (header.load(root_at, Acquire) == root.0 || broken::has(Defect::RootNotReread));
        if !unchanged || self.in_doubt {
            return None;
        }
        // Nothing is allocated by lengths that nobody has validated.
        let record = found.open(key, glance)?;
        if !record.has_key(key) {
            return None;
        }
        if let Some(into) = into {
            record.copy_value(into)?;
        }
        fence(Acquire);
        (found.version_again() == version.get()).then_some(version)
    }

    /// Revision and lifetime of a key, dead or not.
    pub(crate) fn peek(&self, key: &Key<'_>) -> Result<Option<Seen>> {
        match self.memory.glance().and_then(|glance| self.read_plain(glance, key, None)) {
            Some(revision) => Ok(Some(Seen { revision: revision.get(), life: Life::Forever })),
            None => self.look_until_fact(|| self.try_read(key, None)),
        }
    }

    /// Repeats a look until it gives a fact.
    #[inline]
    pub(crate) fn look_until_fact<T>(&self, look: impl FnMut() -> Look<T>) -> Result<T> {
        self.look_within(&Allowance::full(), look)
    }

    /// The same as one of many looks of a call, which together may lose races for so long.
    #[inline]
    pub(crate) fn look_within<T>(&self, allowance: &Allowance, mut look: impl FnMut() -> Look<T>) -> Result<T> {
        match look() {
            Ok(fact) => Ok(fact),
            Err(_) => self.look_again(allowance, look),
        }
    }

    #[cold]
    fn look_again<T>(&self, allowance: &Allowance, mut look: impl FnMut() -> Look<T>) -> Result<T> {
        let (mut backoff, losing, mut broken) = (Backoff::default(), allowance.spend(), 0);
        // Whoever was stopped meanwhile has not lost for that long; whoever has lost long enough before, has.
        let least = if losing.had_nothing() { 10 } else { 100 };
        loop {
            backoff.snooze();
            match look() {
                Ok(fact) => return Ok(fact),
                Err(Why::Lost) => broken = 0,
                Err(Why::Broken) => broken += 1,
                Err(Why::NoMemory(bytes)) => return Err(self.no_memory(bytes)),
            }
            if broken > CONTRADICTIONS || backoff.lost() > least && losing.has_spent_all() {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("{}: what is to be read is damaged; run `shmsync verify`", self.path.display()),
                ));
            }
        }
    }

    #[cold]
    fn no_memory(&self, bytes: usize) -> Error {
        let message = format!("{}: no memory for {bytes} bytes to read into; raise the limit", self.path.display());
        Error::new(ErrorKind::Io, message).with_source(std::io::Error::from(std::io::ErrorKind::OutOfMemory))
    }

    #[inline]
    fn try_read(&self, key: &Key<'_>, mut into: Option<&mut Vec<u8>>) -> Look<Option<Seen>> {
        let root_at = self.shard(key.shard).root_at(key.space);
        let root = Root(self.memory.load(root_at, Acquire));
        if !self.memory.contains(root.offset(), root.slots() * 8) {
            return Err(Why::broken_if(self.memory.load(root_at, Acquire) == root.0));
        }
        let start = root.start(key.hash);
        for number in start..start + root.slots() {
            let at = root.slot_at(number);
            let raw = Slot(self.memory.load(at, Acquire));
            if raw == EMPTY {
                break;
            }
            if raw.hash() != key.hash {
                continue;
            }
            let seen = self.sight(root_at, root, at, raw)?;
            if !seen.slot.is_record() {
                continue;
            }
            match self.try_record(&seen, key, into.as_deref_mut()) {
                Ok(None) => continue,
                other => return other,
            }
        }
        // A miss: believed if the table was still in use.
        if self.memory.load(root_at, Acquire) == root.0 { Ok(None) } else { Err(Why::Lost) }
    }

    /// Looks through a mark.
    #[inline]
    pub(crate) fn sight(&self, root_at: u64, root: Root, at: u64, raw: Slot) -> Look<Sighting> {
        if raw.is_mark() {
            return self.sight_marked(root_at, root, at, raw);
        }
        Ok(Sighting { root_at, root, at, raw, entry: None, slot: raw })
    }

    #[cold]
    fn sight_marked(&self, root_at: u64, root: Root, at: u64, raw: Slot) -> Look<Sighting> {
        let bare = Sighting { root_at, root, at, raw, entry: None, slot: raw };
        let found = if raw.is_condemned() {
            part::Sighting::of_condemned(self, self.geometry.shard(self.geometry.shard_of_root(root_at)), raw)
        } else {
            part::Sighting::of(self, raw.offset(), at)
        };
        let Some(entry) = found else {
            // The transaction has ended; then the mark has gone too.
            return Err(Why::broken_if(bare.holds(self)));
        };
        let sighting = Sighting { entry: Some(entry), slot: entry.slot(), ..bare };
        if !sighting.holds(self) {
            return Err(Why::Lost);
        }
        if sighting.slot.is_mark() { Err(Why::Broken) } else { Ok(sighting) }
    }

    /// `None`: another key's record.
    #[inline]
    fn try_record(&self, seen: &Sighting, key: &Key<'_>, into: Option<&mut Vec<u8>>) -> Look<Option<Seen>> {
        let (record, version, shape) = self.open_record(seen)?;
        let same = record.has_key(shape, key.space, key.bytes) && self.is_whole(&record, shape);
        let life = record.life(shape);
        if let Some(into) = into
            && same
            && record.value(shape, into).is_none()
        {
            // It lies in the file, as was seen before.
            return Err(if record.still(version) { Why::NoMemory(shape.value_len) } else { Why::Lost });
        }
        match (record.still(version) || !same && broken::has(Defect::MismatchBelieved), same) {
            (true, true) => Ok(Some(Seen { revision: version, life })),
            (true, false) => Ok(None),
            (false, _) => Err(Why::Lost),
        }
    }

    /// The record of a slot with its version and shape, of which it is known that they were committed.
    #[inline]
    pub(crate) fn open_record(&self, seen: &Sighting) -> Look<(Record<'_>, u64, Shape)> {
        let record = Record::new(&self.memory, seen.slot.offset());
        let version = record.version();
        if version == 0 && !broken::has(Defect::VersionZeroRead) || !seen.holds(self) {
            return Err(Why::broken_if(version == 0 && seen.holds(self)));
        }
        // Lengths are believed before anything is allocated by them.
        match record.shape() {
            Some(shape) if record.still(version) => Ok((record, version, shape)),
            shape => Err(Why::broken_if(shape.is_none() && record.still(version) && seen.holds(self))),
        }
    }

    /// Whether a record's checksum fits, where that is in doubt.
    #[inline]
    pub(crate) fn is_whole(&self, record: &Record<'_>, shape: Shape) -> bool {
        !self.in_doubt || record.is_sound(self, shape, &mut Vec::new(), &mut Vec::new())
    }

    /// The full fence of whoever reads several words that must be of one moment.
    #[inline]
    pub(crate) fn acquire_all(&self) {
        fence(Acquire);
    }
}
