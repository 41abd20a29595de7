//! Where things lie in a region, as `docs/format.md` draws it. Kept apart from the library's own arithmetic on purpose.

/// The map of an image, from its capacity.
#[derive(Debug, Clone, Copy)]
pub struct Map {
    pub capacity: u64,
    pub shards: u64,

    pub shards_at: u64,
    pub table_at: u64,
    pub data_at: u64,
}

pub const PAGE: u64 = 4096;
/// Bytes from one shard to the next.
pub const SHARD: u64 = 4160;
pub const BOOT_ID: usize = 264;
pub const PARTICIPANTS: u64 = 20_480;
pub const PARTICIPANT: u64 = 256;
/// The byte that participant `n` keeps locked is this one + n.
pub const BYTES: u64 = 1 << 40;

impl Map {
    pub fn of(image: &[u8]) -> Self {
        let capacity = word(image, 24) / PAGE * PAGE;
        let mib = (capacity >> 20).clamp(1, 64);
        let shards = 1 << mib.ilog2();
        let participants = (capacity / PAGE).min(4096);
        let shards_at = (PARTICIPANTS + participants * PARTICIPANT).next_multiple_of(PAGE);
        let table_at = shards_at + shards * SHARD;
        let data_at = (table_at + capacity / PAGE * 4).next_multiple_of(PAGE);
        Self { capacity, shards, shards_at, table_at, data_at }
    }

    pub fn shard(&self, shard: u64) -> u64 {
        self.shards_at + shard * SHARD
    }

    /// Where the roots of the shard at an offset are. Of an image whose capacity is another one already, anywhere.
    pub fn root(&self, shard: u64) -> u64 {
        1024 + shard.wrapping_sub(self.shards_at) / SHARD * 16
    }
}

/// The word at an offset; 0 outside.
pub fn word(image: &[u8], at: u64) -> u64 {
    let at = at as usize;
    image.get(at..at + 8).map_or(0, |bytes| u64::from_ne_bytes(bytes.try_into().unwrap()))
}

pub fn put(image: &mut [u8], at: u64, value: u64) {
    if let Some(bytes) = image.get_mut(at as usize..at as usize + 8) {
        bytes.copy_from_slice(&value.to_ne_bytes());
    }
}

/// The index of a space in a shard: its offset and how many slots it has.
pub fn index(image: &[u8], shard: u64, space: u64) -> (u64, u64) {
    let root = word(image, Map::of(image).root(shard) + space * 8);
    let offset = (root & ((1 << 34) - 1)) * 8;
    if offset == 0 { (0, 0) } else { (offset, 1 << (root >> 34 & 63).min(20)) }
}

/// Where the record of a slot lies; `None` for what is no record.
pub fn record(slot: u64) -> Option<u64> {
    let offset = (slot & ((1 << 34) - 1)) * 8;
    (offset != 0).then_some(offset)
}

/// Writes the header's checksum anew.
pub fn seal_header(image: &mut [u8]) {
    if image.len() >= 256 {
        let checksum = crc32c::crc32c(&image[12..248]);
        image[248..252].copy_from_slice(&checksum.to_ne_bytes());
    }
}
