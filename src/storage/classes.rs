//! Sizes of blocks: what is asked for is rounded up to one of these, by at most an eighth (16 bytes for the smallest).
//! Eight sizes from each power of two to the next.

use crate::region::layout::{EXTENT, UNIT};

/// How many sizes there are.
pub(crate) const COUNT: usize = 51;
/// The largest block; what is larger takes whole extents.
pub(crate) const LARGEST: u64 = 4096;
/// Bytes at the beginning of a span that keep its books.
pub(crate) const SPAN_HEADER: u64 = 64;

/// A size of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u8);

const SIZES: [u16; COUNT] = sizes();
const BY_UNITS: [u8; (LARGEST / UNIT) as usize + 1] = by_units();

/// `2^20 / size`, rounded up, with sizes in units: by which [`Class::block_at`] divides.
const RECIPROCALS: [u32; COUNT] = reciprocals();
const BLOCKS: [u8; COUNT] = blocks();

const fn reciprocals() -> [u32; COUNT] {
    let (mut reciprocals, mut class) = ([0; COUNT], 0);
    while class < COUNT {
        reciprocals[class] = (1_u32 << 20).div_ceil(SIZES[class] as u32 / UNIT as u32);
        class += 1;
    }
    reciprocals
}

const fn blocks() -> [u8; COUNT] {
    let (mut blocks, mut class) = ([0; COUNT], 0);
    while class < COUNT {
        let size = SIZES[class] as u64;
        blocks[class] = ((extents(size) * EXTENT - SPAN_HEADER) / size) as u8;
        class += 1;
    }
    blocks
}

/// Extents of a span of blocks of that size.
const fn extents(size: u64) -> u64 {
    match size {
        0..=512 => 1,
        513..=2048 => 4,
        _ => 8,
    }
}

const fn sizes() -> [u16; COUNT] {
    let mut sizes = [0; COUNT];
    let (mut index, mut size) = (0, 32);
    while index < COUNT {
        sizes[index] = size;
        size += match size {
            0..64 => 16,
            64..128 => 8,
            128..256 => 16,
            256..512 => 32,
            512..1024 => 64,
            1024..2048 => 128,
            _ => 256,
        };
        index += 1;
    }
    sizes
}

const fn by_units() -> [u8; (LARGEST / UNIT) as usize + 1] {
    let mut classes = [0; (LARGEST / UNIT) as usize + 1];
    let (mut units, mut class) = (0, 0);
    while units < classes.len() {
        if units * UNIT as usize > SIZES[class] as usize {
            class += 1;
        }
        classes[units] = class as u8;
        units += 1;
    }
    classes
}

const _: () = {
    assert!(SIZES[COUNT - 1] as u64 == LARGEST);
    assert!((EXTENT - SPAN_HEADER) / 32 <= 128, "two words of bits are enough");
};

impl Class {
    /// The class for so many bytes; `None` when they take whole extents.
    #[inline(always)]
    pub(crate) fn of(bytes: u64) -> Option<Self> {
        if bytes > LARGEST {
            return None;
        }
        Some(Self(BY_UNITS[bytes.div_ceil(UNIT) as usize]))
    }

    /// The class of that number, as kept in the region.
    #[inline]
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        if number < COUNT as u64 { Some(Self(number as u8)) } else { None }
    }

    #[inline]
    pub(crate) fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// All classes of larger blocks, smallest first.
    pub(crate) fn larger(self) -> impl Iterator<Item = Self> {
        (self.0 + 1..COUNT as u8).map(Self)
    }

    /// Bytes of a block.
    #[inline]
    pub(crate) fn size(self) -> u64 {
        u64::from(SIZES[self.0 as usize])
    }

    /// Extents of a span of such blocks.
    pub(crate) fn extents(self) -> u64 {
        extents(self.size())
    }

    /// Blocks in a span.
    #[inline]
    pub(crate) fn blocks(self) -> u64 {
        u64::from(BLOCKS[self.0 as usize])
    }

    /// Which block begins so many bytes behind the books of a span; `None` between two of them.
    #[inline(always)]
    pub(crate) fn block_at(self, within: u64) -> Option<u64> {
        // Exact for spans of up to 2^15 bytes; further on it is too large a number, or no multiple.
        let index = (within / UNIT).wrapping_mul(u64::from(RECIPROCALS[self.0 as usize])) >> 20;
        (index < self.blocks() && index * self.size() == within).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_wastes_little() {
        for bytes in 1..=LARGEST {
            let class = Class::of(bytes).unwrap();
            assert!(class.size() >= bytes);
            assert!(class.size() <= (bytes + 16).max(bytes * 9 / 8 + 16).max(32), "{bytes}");
            assert!(class.blocks() <= 128 && class.blocks() >= 7);
        }
        assert_eq!(Class::of(LARGEST + 1), None);
    }

    #[test]
    fn blocks_begin_where_they_are_said_to() {
        for class in (0..COUNT as u64).filter_map(Class::from_number) {
            for within in 0..class.extents() * EXTENT {
                let (index, rest) = (within / class.size(), within % class.size());
                let expected = (rest == 0 && index < class.blocks()).then_some(index);
                assert_eq!(class.block_at(within), expected, "{class:?} {within}");
            }
            assert_eq!(class.block_at(u64::MAX - 15), None);
        }
    }
}
