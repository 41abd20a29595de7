//! The map of a region: what lies where, computed from the capacity alone. `docs/format.md` draws it.
//!
//! | from | what |
//! |---|---|
//! | 0 | header: fixed block (256 bytes), live block |
//! | 4,096 | space: the lock and intent of handing out extents |
//! | 8,192 | 1,024 wait words for keys, 4 bytes each |
//! | 12,288 | 64 watches of prefixes, 128 bytes each |
//! | 20,480 | participants, 256 bytes each |
//! | then | shards, 4,160 bytes each |
//! | then | extent table, 4 bytes for each 4,096 bytes of capacity |
//! | then | extents |

/// The number of this format.
pub(crate) const FORMAT: u32 = crate::FORMAT;
/// Bytes of an extent, the unit in which shards take room.
pub(crate) const EXTENT: u64 = 4096;
/// Offsets are kept in units of this many bytes.
pub(crate) const UNIT: u64 = 8;
/// The least capacity in bytes.
pub(crate) const MIN_CAPACITY: u64 = 128 << 10;
/// The largest capacity in bytes: what 34 bits of units can address.
pub(crate) const MAX_CAPACITY: u64 = UNIT << 34;
/// The capacity in bytes unless told otherwise: addresses, not memory.
pub(crate) const DEFAULT_CAPACITY: u64 = 16 << 30;
/// The most shards.
pub(crate) const MAX_SHARDS: u32 = 64;
/// The most participants that a lock word can name.
pub(crate) const MAX_PARTICIPANTS: u32 = 4096;

/// Live block: what changes. Outside the fixed block's checksum, so that no kill between two stores can break that.
pub(crate) mod live {
    /// u64: 1 once the store was destroyed.
    pub(crate) const GONE: u64 = 256;
    /// Two u64: the boot in which lock words and deadlines mean anything.
    pub(crate) const BOOT_ID: u64 = 264;
    /// u64: the number that the next participant gets.
    pub(crate) const NEXT_NUMBER: u64 = 280;
    /// u64: participant slots below this one may have been used.
    pub(crate) const HIGH_SLOT: u64 = 288;
    /// u64: the gate of `exclusive`: participant slot + 1 (13 bits, 0 = open), its generation (18), a count.
    pub(crate) const GATE: u64 = 320;
    /// u32: wait word of the gate.
    pub(crate) const GATE_WAIT: u64 = 328;
    /// u64: which prefix watches are in use.
    pub(crate) const WATCHES: u64 = 384;
    /// u32: wait word for any change at all.
    pub(crate) const ANY_WAIT: u64 = 392;
    /// Two u64 for each shard: the roots of its indexes. Together, because each read begins with one of them.
    pub(crate) const ROOTS: u64 = 1024;
}

/// The space block: how extents are handed out.
pub(crate) mod space {
    /// u32: lock word.
    pub(crate) const LOCK: u64 = 4096;
    /// u64: operation and stage in progress.
    pub(crate) const OP: u64 = 4104;
    /// u64: first extent of the operation.
    pub(crate) const FIRST: u64 = 4112;
    /// u64: extents of the operation.
    pub(crate) const COUNT: u64 = 4120;
    /// u64 × 3: below this extent there is no free run of 1, up to 8, more extents.
    pub(crate) const HINTS: u64 = 4136;
    /// u64: how often a dead participant's work was recovered.
    pub(crate) const RECOVERIES: u64 = 4160;
}

/// Where the wait words of keys begin.
pub(crate) const WAIT_WORDS: u64 = 8192;
/// How many there are.
pub(crate) const WAIT_WORD_COUNT: u64 = 1024;
/// Where watches of prefixes begin.
pub(crate) const WATCHES: u64 = 12_288;
/// How many there are: one bit each in [`live::WATCHES`].
pub(crate) const WATCH_COUNT: u64 = 64;
/// Bytes of a watch.
pub(crate) const WATCH_SIZE: u64 = 128;
/// Where participants begin.
pub(crate) const PARTICIPANTS: u64 = 20_480;
/// Bytes of a participant.
pub(crate) const PARTICIPANT_SIZE: u64 = 256;
/// Bytes from one shard's header to the next. No power of two: equal fields of all shards would share a few cache lines.
pub(crate) const SHARD_SIZE: u64 = 4096 + 64;

const _: () = {
    assert!(WAIT_WORDS + WAIT_WORD_COUNT * 4 == WATCHES);
    assert!(WATCHES + WATCH_COUNT * WATCH_SIZE == PARTICIPANTS);
    assert!(PARTICIPANTS.is_multiple_of(EXTENT));
    assert!(live::ANY_WAIT + 4 <= live::ROOTS && live::ROOTS + MAX_SHARDS as u64 * 16 <= space::LOCK);
    assert!(MAX_CAPACITY == 128 << 30);
    // 100 million keys of 128 bytes with their slots (16 bytes at half load) fit the largest region.
    assert!(100_000_000 * (128 + 16) < MAX_CAPACITY);
    // A shard's index grows to the 28 hash bits that a slot keeps: half full, all of them hold more than 100 million.
    assert!(100_000_000 * 2 < (MAX_SHARDS as u64) << 28);
};

/// The layout of one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) capacity: u64,
    pub(crate) shards: u32,
    pub(crate) participants: u32,
    shards_at: u64,
    table_at: u64,
    data_at: u64,
}

impl Geometry {
    /// The layout for a capacity; `None` when that is out of range.
    pub(crate) fn new(capacity: u64) -> Option<Self> {
        let capacity = capacity / EXTENT * EXTENT;
        if !(MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity) {
            return None;
        }
        let mib = (capacity >> 20).clamp(1, u64::from(MAX_SHARDS)) as u32;
        let shards = 1 << mib.ilog2();
        let participants = (capacity / EXTENT).min(u64::from(MAX_PARTICIPANTS)) as u32;
        let shards_at = page_up(PARTICIPANTS + u64::from(participants) * PARTICIPANT_SIZE);
        let table_at = shards_at + u64::from(shards) * SHARD_SIZE;
        let data_at = page_up(table_at + capacity / EXTENT * 4);
        Some(Self { capacity, shards, participants, shards_at, table_at, data_at })
    }

    /// Where a shard's header lies.
    #[inline]
    pub(crate) fn shard(&self, shard: u32) -> u64 {
        self.shards_at + u64::from(shard) * SHARD_SIZE
    }

    /// Where the root of a space's index lies.
    #[inline]
    pub(crate) fn root(&self, shard: u32, space: u64) -> u64 {
        live::ROOTS + u64::from(shard) * 16 + space * 8
    }

    /// Which shard a root belongs to.
    pub(crate) fn shard_of_root(&self, at: u64) -> u32 {
        (at.saturating_sub(live::ROOTS) / 16) as u32 & (self.shards - 1)
    }

    /// Where a participant lies.
    #[inline]
    pub(crate) fn participant(&self, slot: u32) -> u64 {
        PARTICIPANTS + u64::from(slot) * PARTICIPANT_SIZE
    }

    /// Where the word of an extent lies.
    #[inline]
    pub(crate) fn extent_word(&self, extent: u64) -> u64 {
        self.table_at + extent * 4
    }

    /// The end of what must exist for extents below `extents`: whole pages of the table.
    pub(crate) fn table_end(&self, extents: u64) -> u64 {
        page_up(self.table_at + extents * 4)
    }

    /// Whether a file of that size must have holes where data is, if it occupies no more than that.
    pub(crate) fn has_holes(&self, size: u64, occupied: u64) -> bool {
        occupied < self.table_end(size / EXTENT) + size.saturating_sub(self.data_at)
    }

    /// The first extent that holds data.
    pub(crate) fn first_extent(&self) -> u64 {
        self.data_at / EXTENT
    }

    /// All extents, up to the capacity.
    pub(crate) fn extents(&self) -> u64 {
        self.capacity / EXTENT
    }
}

fn page_up(offset: u64) -> u64 {
    offset.next_multiple_of(EXTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_regions_are_not_filled_with_air() {
        let small = Geometry::new(256 << 10).unwrap();
        assert_eq!((small.shards, small.participants), (1, 64));
        assert!(small.data_at <= 48 << 10, "{small:?}");
        let shm = Geometry::new(64 << 20).unwrap();
        assert_eq!((shm.shards, shm.participants), (64, 4096));
        assert!(shm.data_at * 40 < shm.capacity, "{shm:?}");
    }

    #[test]
    fn capacities_out_of_range_have_no_layout() {
        assert_eq!(Geometry::new(0), None);
        assert_eq!(Geometry::new(MIN_CAPACITY - 1), None);
        assert_eq!(Geometry::new(MAX_CAPACITY + EXTENT), None);
        assert!(Geometry::new(MAX_CAPACITY).is_some());
    }
}
