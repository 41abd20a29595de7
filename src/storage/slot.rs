//! The eight bytes that make a record exist.
//!
//! | bits | what |
//! |---|---|
//! | 0–33 | offset of the record, in units of 8 bytes |
//! | 34 | MARK: the offset is that of a transaction's entry; old and new slot stand there |
//! | 35 | MORTAL: the record has a lifetime |
//! | 36–63 | 28 bits of the key's hash |
//!
//! MARK and MORTAL together: the slot is condemned, see [`condemned`](super::condemned).
//!
//! 0 = never used since the index was built; MORTAL alone = a grave, used before: searches go on behind it.

use crate::region::layout::UNIT;

pub(crate) const EMPTY: Slot = Slot(0);
pub(crate) const GRAVE: Slot = Slot(MORTAL);
const OFFSET: u64 = (1 << 34) - 1;
const MARK: u64 = 1 << 34;
const MORTAL: u64 = 1 << 35;
const HASH_SHIFT: u32 = 36;
/// Bits of the hash that a slot keeps.
pub(crate) const HASH_BITS: u32 = 28;

/// A slot's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    /// The slot of a record.
    #[inline]
    pub(crate) fn record(hash: u32, offset: u64, mortal: bool) -> Self {
        Self(u64::from(hash) << HASH_SHIFT | if mortal { MORTAL } else { 0 } | (offset / UNIT))
    }

    /// The slot that stands for a transaction's entry.
    pub(crate) fn mark(hash: u32, entry: u64) -> Self {
        Self(u64::from(hash) << HASH_SHIFT | MARK | (entry / UNIT))
    }

    /// The slot of a record that goes if its shard's transaction is committed.
    pub(crate) fn condemned(self) -> Self {
        Self(self.0 | MARK | MORTAL)
    }

    pub(crate) fn is_condemned(self) -> bool {
        self.0 & (MARK | MORTAL) == MARK | MORTAL
    }

    #[inline]
    pub(crate) fn hash(self) -> u32 {
        (self.0 >> HASH_SHIFT) as u32
    }

    #[inline]
    pub(crate) fn offset(self) -> u64 {
        (self.0 & OFFSET) * UNIT
    }

    pub(crate) fn is_mark(self) -> bool {
        self.0 & MARK != 0
    }

    #[inline]
    pub(crate) fn is_mortal(self) -> bool {
        self.0 & MORTAL != 0
    }

    /// Whether it names a record without a lifetime whose key has that hash: one comparison for the hash and both flags.
    /// (So does an empty slot, if the hash is 0.)
    #[inline(always)]
    pub(crate) fn is_plain_of(self, hash: u32) -> bool {
        self.0 >> MARK.trailing_zeros() == u64::from(hash) << (HASH_SHIFT - MARK.trailing_zeros())
    }

    /// Whether it names a record.
    #[inline]
    pub(crate) fn is_record(self) -> bool {
        self.0 & OFFSET != 0 && self.0 & MARK == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_what_it_was_made_of() {
        let last = (1u64 << 34) * UNIT - UNIT;
        let slot = Slot::record((1 << HASH_BITS) - 1, last, true);
        assert_eq!((slot.hash(), slot.offset()), ((1 << HASH_BITS) - 1, last));
        assert!(slot.is_mortal() && slot.is_record() && !slot.is_mark());
        assert!(slot.condemned().is_condemned() && slot.condemned().is_mark() && !Slot::mark(1, 64).is_condemned());
        let plain = Slot::record(5, 64, false);
        assert!(plain.is_plain_of(5) && !plain.is_plain_of(4) && !Slot::record(5, 64, true).is_plain_of(5));
        assert!(!Slot::mark(5, 64).is_plain_of(5) && !GRAVE.is_plain_of(0));
        assert!(!GRAVE.is_record() && !EMPTY.is_record() && !Slot::mark(0, 64).is_record());
    }
}
