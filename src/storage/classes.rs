//! Sizes of blocks: what is asked for is rounded up to one of these, by at most an eighth (16 bytes for the smallest).

use crate::region::layout::{EXTENT, UNIT};

/// How many sizes there are.
pub(crate) const COUNT: usize = 47;
/// The largest block; what is larger takes whole extents.
pub(crate) const LARGEST: u64 = 4096;
/// Bytes at the beginning of a span that keep its books.
pub(crate) const SPAN_HEADER: u64 = 64;

/// A size of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u8);

const SIZES: [u16; COUNT] = sizes();
const BY_UNITS: [u8; (LARGEST / UNIT) as usize + 1] = by_units();

const fn sizes() -> [u16; COUNT] {
    let mut sizes = [0; COUNT];
    let (mut index, mut size) = (0, 32);
    while index < COUNT {
        sizes[index] = size;
        size += match size {
            0..256 => 16,
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
    #[inline]
    pub(crate) fn of(bytes: u64) -> Option<Self> {
        if bytes > LARGEST {
            return None;
        }
        Some(Self(BY_UNITS[bytes.div_ceil(UNIT) as usize]))
    }

    /// The class of that number, as kept in the region.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        if number < COUNT as u64 { Some(Self(number as u8)) } else { None }
    }

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
        match self.size() {
            0..=512 => 1,
            513..=2048 => 4,
            _ => 8,
        }
    }

    /// Blocks in a span.
    pub(crate) fn blocks(self) -> u64 {
        (self.extents() * EXTENT - SPAN_HEADER) / self.size()
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
}
