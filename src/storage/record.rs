//! A record: a key and a value that never change once they were published.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | version = revision; 0 = not valid |
//! | 8 | 4 | length of the value |
//! | 12 | 2 | length of the key, less 1 |
//! | 14 | 2 | flags: bits 0–1 lifetime (0 forever, 1 until, 2 owner), bit 2 space |
//! | 16 | 8 | checksum of everything but itself, see [`checksum_of`] and [`Record::seal`] |
//! | 24 | 16 | only with a lifetime: deadline in nanoseconds of the boot, or the owner's number; the owner's slot |
//! | then | | key, filled up to 8 bytes |
//! | then | | value, filled up to 8 bytes |

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3, rapidhash_v3_inline};

use crate::{
    broken::{self, Defect},
    driver::{MAX_KEY_LEN, MAX_VALUE_LEN, Space},
    primitive::atomics::fence,
    region::{
        memory::{Memory, View},
        row::Row,
    },
};

const HEADER: u64 = 24;
const LIFETIME: u64 = 16;

/// How long a record stays, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Forever,
    /// Until this moment of the boot, in nanoseconds.
    Until(u64),
    /// As long as this participant.
    Owner {
        number: u64,
        slot: u32,
    },
}

impl Life {
    #[inline]
    pub(crate) fn is_mortal(self) -> bool {
        !matches!(self, Self::Forever)
    }

    #[inline]
    fn kind(self) -> u64 {
        match self {
            Self::Forever => 0,
            Self::Until(_) => 1,
            Self::Owner { .. } => 2,
        }
    }

    fn words(self) -> (u64, u64) {
        match self {
            Self::Forever => (0, 0),
            Self::Until(deadline) => (deadline, 0),
            Self::Owner { number, slot } => (number, u64::from(slot)),
        }
    }
}

/// The second word of a record, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    kind: u64,
    space: u64,
}

impl Shape {
    #[inline]
    pub(crate) fn new(space: Space, key_len: usize, value_len: usize, life: Life) -> Self {
        Self { key_len, value_len, kind: life.kind(), space: space as u64 }
    }

    #[inline]
    fn from_word(word: u64) -> Self {
        Self {
            value_len: (word & u64::from(u32::MAX)) as usize,
            key_len: (word >> 32 & 0xffff) as usize + 1,
            kind: word >> 48 & 3,
            space: word >> 50 & 1,
        }
    }

    #[inline]
    fn word(self) -> u64 {
        self.value_len as u64 | (self.key_len as u64 - 1) << 32 | self.kind << 48 | self.space << 50
    }

    #[inline]
    pub(crate) fn is_mortal(self) -> bool {
        self.kind != 0
    }

    pub(crate) fn is_of(self, space: Space) -> bool {
        self.space == space as u64
    }

    #[inline]
    pub(crate) fn key_at(self) -> u64 {
        HEADER + if self.kind == 0 { 0 } else { LIFETIME }
    }

    #[inline]
    pub(crate) fn value_at(self) -> u64 {
        self.key_at() + (self.key_len as u64).next_multiple_of(8)
    }

    /// Bytes of the whole record.
    #[inline]
    pub(crate) fn size(self) -> u64 {
        self.value_at() + (self.value_len as u64).next_multiple_of(8)
    }
}

const _: () = assert!(MAX_KEY_LEN == 1 << 16 && MAX_VALUE_LEN < 1 << 32);

/// A record at an offset. What is read of it is a fact only once the reader has validated it.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    memory: &'a Memory,
    view: View<'a>,
    pub(crate) at: u64,
}

impl<'a> Record<'a> {
    #[inline]
    pub(crate) fn new(memory: &'a Memory, at: u64) -> Self {
        Self { memory, view: memory.view(), at }
    }

    /// The same, with a view that is at hand.
    #[inline(always)]
    pub(crate) fn through(memory: &'a Memory, view: View<'a>, at: u64) -> Self {
        Self { memory, view, at }
    }

    /// Lengths and lifetime, and all words of it; `None` when so much does not fit into the file.
    #[inline(always)]
    pub(crate) fn open(&self) -> Option<(Shape, Row<'a>)> {
        let shape = Shape::from_word(self.view.load(self.at + 8, Relaxed));
        Some((shape, self.view.row(self.at, shape.size())?))
    }

    /// The version, 0 when there is none; what is loaded after it is no older.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.view.load(self.at, Acquire)
    }

    /// Whether the version is still this one, after everything loaded before.
    #[inline]
    pub(crate) fn still(&self, version: u64) -> bool {
        fence(Acquire);
        self.view.load(self.at, Relaxed) == version
    }

    /// Lengths and lifetime; `None` when so much does not fit into the file.
    #[inline]
    pub(crate) fn shape(&self) -> Option<Shape> {
        let shape = Shape::from_word(self.view.load(self.at + 8, Relaxed));
        self.view.contains(self.at, shape.size()).then_some(shape)
    }

    /// As [`Record::has_key`], of an opened record.
    #[inline(always)]
    pub(crate) fn row_has_key(row: Row<'_>, shape: Shape, space: Space, key: &[u8]) -> bool {
        shape.key_len == key.len() && shape.is_of(space) && row.equals(shape.key_at() as usize / 8, key)
    }

    #[inline]
    pub(crate) fn has_key(&self, shape: Shape, space: Space, key: &[u8]) -> bool {
        shape.key_len == key.len() && shape.is_of(space) && self.view.equals(self.at + shape.key_at(), key)
    }

    /// The key, copied; `None` without memory.
    pub(crate) fn key(&self, shape: Shape, into: &mut Vec<u8>) -> Option<()> {
        self.view.copy_out(self.at + shape.key_at(), shape.key_len, into)
    }

    /// The value, copied; `None` without memory.
    #[inline]
    pub(crate) fn value(&self, shape: Shape, into: &mut Vec<u8>) -> Option<()> {
        self.view.copy_out(self.at + shape.value_at(), shape.value_len, into)
    }

    /// A value of at most 16 bytes, without a buffer; what is behind its end is 0.
    #[inline]
    pub(crate) fn short_value(&self, shape: Shape) -> [u8; 16] {
        let words = [0, 8].map(|at| self.view.load(self.at + shape.value_at() + at, Relaxed).to_ne_bytes());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&words[0]);
        if shape.value_len > 8 {
            bytes[8..].copy_from_slice(&words[1]);
        }
        bytes
    }

    #[inline]
    pub(crate) fn life(&self, shape: Shape) -> Life {
        if shape.is_mortal() { self.end_of_life(shape) } else { Life::Forever }
    }

    fn end_of_life(&self, shape: Shape) -> Life {
        let first = self.view.load(self.at + HEADER, Relaxed);
        let second = self.view.load(self.at + HEADER + 8, Relaxed);
        match shape.kind {
            1 => Life::Until(first),
            _ => Life::Owner { number: first, slot: second.min(u64::from(u32::MAX)) as u32 },
        }
    }

    /// Writes everything but the version, which is 0 from before the first to after the last byte.
    #[inline(always)]
    pub(crate) fn fill(&self, shape: Shape, key: &[u8], value: &[u8], life: Life) -> Option<()> {
        let mut row = self.memory.row_mut(self.at, shape.size())?;
        row.put(0, 0);
        if !broken::has(Defect::RecordFilledUnfenced) {
            fence(Release);
        }
        row.put(1, shape.word());
        if life.is_mortal() {
            let (first, second) = life.words();
            row.put(HEADER as usize / 8, first);
            row.put(HEADER as usize / 8 + 1, second);
        }
        row.put_bytes(shape.key_at() as usize / 8, key);
        row.put_bytes(shape.value_at() as usize / 8, value);
        Some(())
    }

    /// Makes a filled record valid; it exists once a slot names it. `checksum` is that of key and value.
    #[inline(always)]
    pub(crate) fn seal(&self, shape: Shape, checksum: u64, life: Life, version: u64) {
        let checksum = with_head(checksum, shape, life, version);
        self.memory.store(self.at + 16, checksum, Relaxed);
        self.memory.store(self.at, version, Release);
    }

    /// Whether the checksum fits; `into` is used for key and value.
    pub(crate) fn is_sound(&self, shape: Shape, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        if self.key(shape, key).is_none() || self.value(shape, value).is_none() {
            return false;
        }
        let expected = with_head(checksum_of(key, value), shape, self.life(shape), self.version());
        self.view.load(self.at + 16, Relaxed) == expected
    }
}

/// The checksum of key and value, to which [`Record::seal`] adds the rest: rapidhash v3 of each, the key's turned by 32.
#[inline]
pub(crate) fn checksum_of(key: &[u8], value: &[u8]) -> u64 {
    rapidhash_v3(value) ^ rapidhash_v3(key).rotate_left(32)
}

/// rapidhash v3 of five words: checksum of key and value, version, shape, lifetime.
#[inline]
fn with_head(checksum: u64, shape: Shape, life: Life, version: u64) -> u64 {
    let (first, second) = life.words();
    let mut head = [0; 40];
    for (bytes, word) in head.as_chunks_mut::<8>().0.iter_mut().zip([checksum, version, shape.word(), first, second]) {
        *bytes = word.to_ne_bytes();
    }
    // Inlined, because the length is known.
    rapidhash_v3_inline::<true, false, false>(&head, &DEFAULT_RAPID_SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_keeps_the_longest_key_and_value() {
        let shape = Shape::new(Space::Coordination, MAX_KEY_LEN, MAX_VALUE_LEN, Life::Until(1));
        assert_eq!(Shape::from_word(shape.word()), shape);
        assert!(shape.is_mortal() && shape.is_of(Space::Coordination));
    }

    #[test]
    fn sixty_four_bytes_take_little_more() {
        assert_eq!(Shape::new(Space::Values, 12, 64, Life::Forever).size(), 24 + 16 + 64);
    }
}
