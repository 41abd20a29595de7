//! A record: a key and a value that never change once they were published.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | version = revision; 0 = not valid |
//! | 8 | 4 | length of the value |
//! | 12 | 2 | length of the key, less 1 |
//! | 14 | 2 | flags: bits 0–1 lifetime (0 forever, 1 until, 2 owner), bit 2 space |
//! | 16 | 8 | checksum of everything but itself, see [`checksum_of`] and [`Unsealed::seal`] |
//! | 24 | 16 | only with a lifetime: deadline in nanoseconds of the boot, or the owner's number; the owner's slot |
//! | then | | key, filled up to 8 bytes |
//! | then | | value, filled up to 8 bytes |

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3, rapidhash_v3_inline};
use twox_hash::XxHash3_64;

use super::{Key, Storage};
use crate::{
    broken::{self, Defect},
    driver::{MAX_KEY_LEN, MAX_VALUE_LEN, Space},
    primitive::atomics::fence,
    region::{
        memory::{Memory, View},
        row::RowMut,
    },
};

/// Bytes before the lifetime or the key.
pub(crate) const HEADER: u64 = 24;
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

    /// The same for a value of that length.
    #[inline(always)]
    pub(crate) fn with_value(self, value_len: usize) -> Self {
        Self { value_len, ..self }
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
        self.value_len as u64 | upper_half(self.key_len, self.kind, self.space) << 32
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

/// The upper half of a record's second word: everything but the length of the value.
#[inline(always)]
pub(crate) fn upper_half(key_len: usize, kind: u64, space: u64) -> u64 {
    (key_len as u64).wrapping_sub(1) | kind << 16 | space << 18
}

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

    /// Writes everything but the version; `None` where there is no room.
    #[inline(always)]
    pub(crate) fn fill(&self, shape: Shape, key: &[u8], value: &[u8], life: Life) -> Option<Unsealed<'a>> {
        let row = self.memory.row_mut(self.at, shape.size())?;
        Some(Unsealed::fill(row, shape, key, value, life))
    }

    /// What was filled before, by this process.
    pub(crate) fn unsealed(&self) -> Option<Unsealed<'a>> {
        self.memory.row_mut(self.at, HEADER).map(Unsealed)
    }

    /// Whether the checksum fits; `into` is used for key and value.
    pub(crate) fn is_sound(&self, storage: &Storage, shape: Shape, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        if self.key(shape, key).is_none() || self.value(shape, value).is_none() {
            return false;
        }
        // No hash depends on the space.
        let key = storage.key(Space::Values, key);
        let expected = with_head(checksum_of(&key, value), shape, self.life(shape), self.version());
        self.view.load(self.at + 16, Relaxed) == expected
    }
}

/// A record that was filled, and has no version yet.
pub(crate) struct Unsealed<'a>(RowMut<'a>);

impl<'a> Unsealed<'a> {
    /// Writes everything but the version, which is 0 from before the first to after the last byte.
    #[inline(always)]
    pub(crate) fn fill(row: RowMut<'a>, shape: Shape, key: &[u8], value: &[u8], life: Life) -> Self {
        row.put(0, 0, Relaxed);
        if !broken::has(Defect::RecordFilledUnfenced) {
            fence(Release);
        }
        row.put(1, shape.word(), Relaxed);
        if life.is_mortal() {
            let (first, second) = life.words();
            row.put(HEADER as usize / 8, first, Relaxed);
            row.put(HEADER as usize / 8 + 1, second, Relaxed);
        }
        row.put_bytes(shape.key_at() as usize / 8, key);
        row.put_bytes(shape.value_at() as usize / 8, value);
        Self(row)
    }

    /// Makes it valid; it exists once a slot names it. `checksum` is that of key and value.
    #[inline(always)]
    pub(crate) fn seal(self, shape: Shape, checksum: u64, life: Life, version: u64) {
        self.0.put(2, with_head(checksum, shape, life, version), Relaxed);
        self.0.put(0, version, Release);
    }
}

/// The checksum of key and value, to which [`Unsealed::seal`] adds the rest: rapidhash v3 of the value, or XXH3 if it is long,
/// and the hash by which the key is found, turned by 32.
#[inline(always)]
pub(crate) fn checksum_of(key: &Key<'_>, value: &[u8]) -> u64 {
    // The same function, without what only long values need: that would take more registers than all else here.
    let hash = if value.len() <= SHORT {
        rapidhash_v3_inline::<true, false, false>(value, &DEFAULT_RAPID_SECRETS)
    } else if value.len() < LONG {
        rapidhash_v3(value)
    } else {
        long_hash(value)
    };
    hash ^ key.whole.rotate_left(32)
}

/// Longer values are hashed in several rows at once.
const SHORT: usize = 112;

/// From so many bytes on XXH3 takes half the time: it uses the widest registers that the processor has.
const LONG: usize = 4096;

#[cold]
#[inline(never)]
fn long_hash(value: &[u8]) -> u64 {
    XxHash3_64::oneshot(value)
}

/// Folds the rest into a checksum of key and value: version, shape, and the lifetime, if it has one.
#[inline(always)]
fn with_head(checksum: u64, shape: Shape, life: Life, version: u64) -> u64 {
    let sum = folded(checksum ^ version, shape.word() ^ ODD);
    match life {
        Life::Forever => sum,
        _ => {
            let (first, second) = life.words();
            folded(sum ^ first, second ^ ODD)
        }
    }
}

/// What keeps a factor from being 0.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Both halves of the product, laid over each other.
#[inline(always)]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
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
