//! A mutex of `raw_sync` over a block of `shared_memory` that holds one MessagePack map.

use ::raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

use super::{Peer, map::Map};
use crate::{
    failure::{Outcome, fail},
    keys::Key,
};

/// Where the length of the map lies, and behind it the map. In front of both is the mutex.
const DATA: usize = 1024;
const SIZE: usize = 1 << 20;

pub(crate) struct RawSync {
    mutex: Box<dyn LockImpl>,
    changed: Vec<u8>,
    /// Dropped after the mutex, which lies in it.
    _block: Shmem,
}

impl RawSync {
    pub(crate) fn new() -> Outcome<Self> {
        let block = ShmemConf::new().size(SIZE).create()?;
        // SAFETY: the block is larger than both, new, thus zeroed, and lives as long as the mutex.
        let made = unsafe { Mutex::new(block.as_ptr(), block.as_ptr().add(DATA)) };
        let (mutex, _) = made.map_err(|error| error.to_string())?;
        Ok(Self { mutex, changed: vec![], _block: block })
    }

    /// Reads the map where it lies and, where `change` says so, writes it; all of it under the mutex.
    fn under_mutex<T>(&mut self, change: impl FnOnce(&[u8], &mut Vec<u8>) -> Outcome<(bool, T)>) -> Outcome<T> {
        let guard = self.mutex.lock().map_err(|error| error.to_string())?;
        let at: *mut u8 = *guard;
        // SAFETY: the mutex is held, and whoever held it before wrote a length that fits, or it is 0.
        let content = unsafe { std::slice::from_raw_parts(at.add(8), at.cast::<u64>().read() as usize) };
        let (write, result) = change(content, &mut self.changed)?;
        if write {
            if self.changed.len() > SIZE - DATA - 8 {
                return fail("the block of raw_sync is too small");
            }
            // SAFETY: it fits, as was seen just now, and the mutex is held; `content` is not used any more.
            unsafe {
                at.add(8).copy_from_nonoverlapping(self.changed.as_ptr(), self.changed.len());
                at.cast::<u64>().write(self.changed.len() as u64);
            }
        }
        Ok(result)
    }
}

impl Peer for RawSync {
    const NAME: &'static str = "raw_sync";

    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.under_mutex(|content, _| {
            into.clear();
            into.extend_from_slice(Map::decode(content)?.get(key.text).ok_or("a key is missing")?);
            Ok((false, ()))
        })
    }

    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        self.under_mutex(|content, changed| {
            let mut map = Map::decode(content)?;
            map.set(key.text, value);
            map.encode(changed)?;
            Ok((true, ()))
        })
    }

    fn add(&mut self, by: i64) -> Outcome<i64> {
        self.under_mutex(|content, changed| {
            let mut map = Map::decode(content)?;
            let sum = map.number("count")? + by;
            let bytes = sum.to_le_bytes();
            map.set("count", &bytes);
            map.encode(changed)?;
            Ok((true, sum))
        })
    }
}
