//! What nearly all records are: without a lifetime; found by the first slot with their key's hash.
//!
//! Whoever is in a hurry looks only for these, and leaves all others, and everything that is not as it should be, to those
//! who look thoroughly.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::{Key, index::Root, record, slot::Slot};
use crate::{
    driver::MAX_VALUE_LEN,
    region::{
        glance::Glance,
        row::{Row, words_of},
    },
};

/// Where a record without a lifetime may be.
#[derive(Clone, Copy)]
pub(crate) struct Sighted<'a> {
    /// Where its slot is.
    pub(crate) at: u64,
    pub(crate) slot: Slot,
    place: Row<'a>,
    /// Its first words.
    head: Row<'a>,
}

/// Such a record.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    row: Row<'a>,
    value_at: usize,
    value_len: u32,
}

const _: () = assert!(MAX_VALUE_LEN <= u32::MAX as usize);
const KEY_AT: usize = record::HEADER as usize / 8;

impl<'a> Sighted<'a> {
    /// The first slot of such a record with this key's hash, as its root says.
    #[inline(always)]
    pub(crate) fn of(key: &Key<'_>, root: Root, glance: Glance<'a>) -> Option<Self> {
        let (at, slot, place) = root.plain_of(key.hash, glance)?;
        Some(Self { at, slot, place, head: glance.row(slot.offset(), KEY_AT as u64)? })
    }

    /// Whether the slot still names it.
    #[inline(always)]
    pub(crate) fn is_unchanged(&self) -> bool {
        self.place.load(0, Acquire) == self.slot.0
    }

    /// Asks for the rest of the record.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        self.head.prefetch_behind();
    }

    /// The record's version; what is loaded after it is no older.
    #[inline(always)]
    pub(crate) fn version(&self) -> u64 {
        self.head.load(0, Acquire)
    }

    /// The version again. Who compares needs a fence before.
    #[inline(always)]
    pub(crate) fn version_again(&self) -> u64 {
        self.head.load(0, Relaxed)
    }

    /// The record, if its lengths, its space and its lifetime are those of a record of this key without a lifetime: all
    /// one comparison, but for the length of the value, which may be anything that there is room for.
    #[inline(always)]
    pub(crate) fn open(&self, key: &Key<'_>, glance: Glance<'a>) -> Option<Plain<'a>> {
        let word = self.head.load(1, Relaxed);
        let value_len = word as u32;
        let value_at = KEY_AT + words_of(key.bytes.len());
        let row = glance.row(self.slot.offset(), (value_at + words_of(value_len as usize)) as u64)?;
        (word >> 32 == record::upper_half(key.bytes.len(), 0, key.space as u64)).then_some(Plain {
            row,
            value_at,
            value_len,
        })
    }
}

impl Plain<'_> {
    #[inline(always)]
    pub(crate) fn has_key(&self, key: &Key<'_>) -> bool {
        self.row.equals(KEY_AT, key.bytes)
    }

    /// Copies the value, where there is room for it.
    #[inline(always)]
    pub(crate) fn copy_value(&self, into: &mut Vec<u8>) -> Option<()> {
        self.row.copy_into_room(self.value_at, self.value_len as usize, into)
    }

    #[inline(always)]
    pub(crate) fn value_len(&self) -> usize {
        self.value_len as usize
    }

    /// A value of at most 16 bytes, with zeros behind its end.
    #[inline(always)]
    pub(crate) fn short_value(&self) -> [u8; 16] {
        let [first, second] = [0, 1].map(|index| self.row.load(self.value_at + index, Relaxed));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_ne_bytes());
        bytes[8..].copy_from_slice(&second.to_ne_bytes());
        bytes
    }
}
