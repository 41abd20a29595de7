//! A key and what its hash says.

use super::slot::HASH_BITS;
use crate::{driver::Space, region::layout::WAIT_WORD_COUNT};

/// A key of a space, hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) space: Space,
    pub(crate) bytes: &'a [u8],
    /// All of the hash.
    pub(crate) whole: u64,
    /// Which shard it belongs to.
    pub(crate) shard: u32,
    /// What its slot keeps of the hash; also where the search begins.
    pub(crate) hash: u32,
    /// Which wait word changes of it are told by.
    pub(crate) wait: u64,
}

impl<'a> Key<'a> {
    /// Takes a hash apart: 6 bits for the shard, 28 for the slot, 10 for the wait word, none used twice.
    #[inline]
    pub(crate) fn new(space: Space, bytes: &'a [u8], hash: u64, shards: u32) -> Self {
        Self {
            space,
            bytes,
            whole: hash,
            shard: (hash >> 58) as u32 & (shards - 1),
            hash: (hash >> 30) as u32 & ((1 << HASH_BITS) - 1),
            wait: hash & (WAIT_WORD_COUNT - 1),
        }
    }
}
