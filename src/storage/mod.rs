//! Bytes in, bytes out: extents, blocks, indexes, records, transactions, recovery.
//!
//! One rule carries the whole: what changes, changes under its shard's lock, by publishing a new record with one
//! 8-byte store; who reads, reads without a lock and proves afterwards that what it read was whole.

mod classes;
mod condemned;
mod find;
mod index;
mod journal;
mod key;
mod part;
mod plain;
mod read;
mod rebuild;
mod record;
mod recovery;
mod reserve;
mod scan;
mod shard;
mod shared;
mod slab;
mod slot;
mod space;
mod swift;
mod together;
mod transaction;
mod verify;
mod write;

pub(crate) use key::Key;
pub(crate) use read::Seen;
pub(crate) use record::{Life, Shape};
pub(crate) use reserve::LARGE;
pub(crate) use scan::{Copied, Wanted};
pub(crate) use shard::Locked;
pub(crate) use shared::Storage;
#[cfg(all(loom, test))]
pub(crate) use slot::HASH_BITS;
pub(crate) use swift::Seized;
pub(crate) use together::{FEW, Overwrite};
pub(crate) use transaction::{Change, To};
