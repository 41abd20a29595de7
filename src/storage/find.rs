//! Looking a key up under the shard's lock: everything there is a fact.

use super::{
    Key,
    plain::Sighted,
    read::Seen,
    record::{Life, Record, Shape},
    shard::{INTENT, Intent, Locked},
    slot::{EMPTY, GRAVE, Slot},
};
use crate::{driver::State, error::Result};

/// What a search under the lock comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The key's slot, and where it is.
    Here { at: u64, slot: Slot },
    /// The key is not there; it could be put here.
    Vacant { at: u64, slot: Slot },
    /// The key is not there, and there is no place for it.
    NoRoom,
}

/// A record found under the lock.
#[derive(Clone, Copy)]
pub(crate) struct Current<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) shape: Shape,
    pub(crate) life: Life,
    pub(crate) state: State,
    pub(crate) revision: u64,
}

impl Locked<'_> {
    /// What nearly every search for a key that is there comes to: where the slot is, the slot, and the revision.
    #[inline]
    fn find_plain(&self, key: &Key<'_>) -> Option<(u64, Slot, u64)> {
        let glance = self.storage.memory.glance()?;
        let found = Sighted::of(key, self.root(key.space), glance)?;
        let is_it = found.version() != 0 && found.open(key, glance)?.has_key(key);
        is_it.then_some((found.at, found.slot, found.version()))
    }

    /// The slot of a key, or where it could go.
    #[inline]
    pub(crate) fn find(&self, key: &Key<'_>) -> Result<Found> {
        match self.find_plain(key) {
            Some((at, slot, _)) => Ok(Found::Here { at, slot }),
            None => self.find_thoroughly(key),
        }
    }

    /// The slot of a key, or where it could go; its revision, if it is there and live.
    #[inline]
    pub(crate) fn look_up(&self, key: &Key<'_>) -> Result<(Found, Option<u64>)> {
        if let Some((at, slot, revision)) = self.find_plain(key) {
            return Ok((Found::Here { at, slot }, Some(revision)));
        }
        let found = self.find_thoroughly(key)?;
        Ok((found, self.live_at(found)?.map(|current| current.revision)))
    }

    /// Revision and lifetime of a key if it is there and live.
    #[inline]
    pub(crate) fn seen(&self, key: &Key<'_>) -> Result<Option<Seen>> {
        match self.find_plain(key) {
            Some((.., revision)) => Ok(Some(Seen { revision, life: Life::Forever })),
            None => self.seen_thoroughly(key),
        }
    }

    #[cold]
    fn seen_thoroughly(&self, key: &Key<'_>) -> Result<Option<Seen>> {
        let current = self.live_at(self.find_thoroughly(key)?)?;
        Ok(current.map(|current| Seen { revision: current.revision, life: current.life }))
    }

    #[cold]
    pub(crate) fn find_thoroughly(&self, key: &Key<'_>) -> Result<Found> {
        let memory = &self.storage.memory;
        let root = self.sound_root(key.space)?;
        let start = root.start(key.hash);
        let mut vacant = Found::NoRoom;
        for number in start..start + root.slots() {
            let at = root.slot_at(number);
            let slot = root.slot(memory, number);
            if slot == EMPTY {
                return Ok(if vacant == Found::NoRoom { Found::Vacant { at, slot } } else { vacant });
            }
            if slot == GRAVE {
                if vacant == Found::NoRoom {
                    vacant = Found::Vacant { at, slot };
                }
                continue;
            }
            if slot.hash() != key.hash {
                continue;
            }
            if slot.is_mark() {
                self.check_mark()?;
                continue;
            }
            let record = Record::new(memory, slot.offset());
            let Some(shape) = record.shape().filter(|_| record.version() != 0) else {
                return Err(self.corrupt("a slot names no record"));
            };
            if record.has_key(shape, key.space, key.bytes) {
                return Ok(Found::Here { at, slot });
            }
        }
        Ok(vacant)
    }

    /// A mark is of the transaction that this very thread prepares, in which no key occurs twice; or it is garbage, and
    /// readers, who look through it, would see another world than writers.
    #[cold]
    fn check_mark(&self) -> Result<()> {
        match Intent::from_word(self.load(INTENT)) {
            Some(Intent::Part) => Ok(()),
            _ => Err(self.corrupt("a slot is marked, but no transaction is under way")),
        }
    }

    /// The record of a slot.
    #[inline]
    pub(crate) fn current(&self, slot: Slot) -> Result<Current<'_>> {
        let record = Record::new(&self.storage.memory, slot.offset());
        let Some(shape) = record.shape().filter(|_| record.version() != 0) else {
            return Err(self.corrupt("a slot names no record"));
        };
        let life = record.life(shape);
        let state = self.storage.state(life);
        Ok(Current { record, shape, life, state, revision: record.version() })
    }

    /// The record that was found, if it is live.
    #[inline]
    pub(crate) fn live_at(&self, found: Found) -> Result<Option<Current<'_>>> {
        match found {
            Found::Here { slot, .. } => Ok(Some(self.current(slot)?).filter(|found| found.state == State::Live)),
            _ => Ok(None),
        }
    }
}
