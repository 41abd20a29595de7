//! A look into the bytes of a region from outside, by `docs/format.md` alone, while everybody stands still.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

const SPACE: u64 = 4_096;
const PARTICIPANTS: u64 = 20_480;
const SHARD: u64 = 4_160;
const ROOTS: std::ops::Range<u64> = 1_024..2_048;

/// Books of a shard: who holds it, and what that one was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    pub holder: Option<Name>,
    /// 0 idle, 1 swap, 2 settle, 3 part of a transaction, 4 bookkeeping.
    pub intent: u64,
    /// Where the slot or root is that is to be changed, and what it was.
    pub at: [u64; 2],
    /// Notes in the journal.
    pub notes: u64,
    /// Whether the word to be changed is the root of an index.
    pub is_root: bool,
}

/// A participant as lock words know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    slot: u32,
    generation: u32,
}

/// An open region.
pub struct Region {
    file: File,
    shards: u64,
    participants: u64,
}

impl Region {
    pub fn open(path: &Path) -> Self {
        let mut region = Self { file: File::open(path).expect("a region"), shards: 0, participants: 0 };
        region.shards = u64::from(region.load32(48));
        region.participants = u64::from(region.load32(52));
        region
    }

    fn load32(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at).expect("bytes of the region");
        u32::from_ne_bytes(bytes)
    }

    fn load(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).expect("bytes of the region");
        u64::from_ne_bytes(bytes)
    }

    fn holder(&self, at: u64) -> Option<Name> {
        let word = self.load32(at);
        let slot = word & 0x1fff;
        (slot != 0 && slot != 0x1fff).then(|| Name { slot: slot - 1, generation: word >> 13 & 0x3_ffff })
    }

    /// The participant with that process id, if it has joined.
    pub fn participant(&self, pid: i32) -> Option<Name> {
        let high = self.load(288).min(self.participants) as u32;
        let at = |slot: u32| PARTICIPANTS + 256 * u64::from(slot);
        let slot = (0..high).find(|slot| self.load32(at(*slot)) == 1 && self.load32(at(*slot) + 32) == pid as u32)?;
        Some(Name { slot, generation: self.load32(at(slot) + 4) & 0x3_ffff })
    }

    /// The books of all shards.
    pub fn books(&self) -> Vec<Books> {
        let first = (PARTICIPANTS + 256 * self.participants).next_multiple_of(4_096);
        let of = |base: u64| {
            let at = self.load(base + 136);
            Books {
                holder: self.holder(base),
                intent: self.load(base + 128) & 0xff,
                at: [at, self.load(base + 144)],
                notes: self.load(base + 160),
                is_root: ROOTS.contains(&at),
            }
        };
        (0..self.shards).map(|shard| of(first + SHARD * shard)).collect()
    }

    /// Who hands out extents at this moment.
    pub fn space_holder(&self) -> Option<Name> {
        self.holder(SPACE)
    }
}
