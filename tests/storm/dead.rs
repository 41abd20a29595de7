//! Reading from the region, over its raw bytes, what a stopped process was in the middle of.
//!
//! Offsets as in `src/region/layout.rs` and `src/storage/shard.rs`.

use std::{fs::File, os::fd::AsRawFd, path::Path, ptr};

/// Where in its work a victim was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somewhere outside of any lock.
    Outside,
    /// With a shard's lock, nothing begun.
    Locked,
    /// With something half done.
    Write,
    /// While taking or giving back room.
    Allocation,
    /// With a transaction half done.
    Transaction,
    /// While the file was made longer.
    Growth,
    /// While finishing or undoing what another dead one had begun.
    Recovery,
    /// Nobody looked.
    Unseen,
}

pub const CLASSES: [Class; 8] = [
    Class::Outside,
    Class::Locked,
    Class::Write,
    Class::Allocation,
    Class::Transaction,
    Class::Growth,
    Class::Recovery,
    Class::Unseen,
];

/// What a shard says of work under way; unchanged as long as nobody has recovered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    shard: u64,
    words: [u64; 4],
}

/// The bytes of a region, for reading only.
pub struct Region {
    map: *const u8,
    len: usize,
    shards_at: u64,
    shards: u64,
    participants: u32,
}

impl Region {
    /// `None` while there is no finished store.
    pub fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len() as usize & !4095;
        if len < 40_960 {
            return None;
        }
        // SAFETY: a new mapping at an address that the kernel chooses; the file never becomes shorter.
        let map = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED {
            return None;
        }
        let mut region = Self { map: map.cast_const().cast(), len, shards_at: 0, shards: 0, participants: 0 };
        (region.shards, region.participants) = (u64::from(region.half(48)), region.half(52));
        region.shards_at = (20_480 + u64::from(region.participants) * 256).next_multiple_of(4096);
        (region.shards_at + region.shards * 4160 <= len as u64).then_some(region)
    }

    fn word(&self, at: u64) -> u64 {
        assert!(at as usize + 8 <= self.len && at.is_multiple_of(8));
        // SAFETY: it lies in the mapping; others write there, hence volatile.
        unsafe { ptr::read_volatile(self.map.add(at as usize).cast()) }
    }

    fn half(&self, at: u64) -> u32 {
        assert!(at as usize + 4 <= self.len && at.is_multiple_of(4));
        // SAFETY: as in `word`.
        unsafe { ptr::read_volatile(self.map.add(at as usize).cast()) }
    }

    /// The process that a lock word names.
    fn owner(&self, at: u64) -> Option<u32> {
        let slot = (self.half(at) & 0x1fff).checked_sub(1).filter(|slot| *slot < self.participants)?;
        Some(self.half(20_480 + u64::from(slot) * 256 + 32))
    }

    fn shard(&self, shard: u64) -> u64 {
        self.shards_at + shard * 4160
    }

    /// Clock, intent, its place, sequence.
    fn unfinished(&self, shard: u64) -> Option<Unfinished> {
        let base = self.shard(shard);
        let words = [16, 128, 136, 144].map(|at| self.word(base + at));
        (words[1] & 0xff != 0).then_some(Unfinished { shard, words })
    }

    /// What a stopped process is in the middle of, and what it would leave unfinished.
    pub fn classify(&self, pid: u32) -> (Class, Option<Unfinished>) {
        let held = (0..self.shards).filter(|shard| self.owner(self.shard(*shard)) == Some(pid));
        let mut class = Class::Outside;
        let mut left = None;
        for shard in held {
            let intent = self.word(self.shard(shard) + 128) & 0xff;
            let notes = self.word(self.shard(shard) + 160);
            class = class.max(match (intent, notes) {
                (0, _) => Class::Locked,
                (3, _) => Class::Transaction,
                (_, 0) => Class::Write,
                _ => Class::Allocation,
            });
            left = left.or(self.unfinished(shard));
        }
        if self.owner(4096) == Some(pid) {
            class = class.max(if in_fallocate(pid) { Class::Growth } else { Class::Allocation });
        }
        (class, left)
    }

    /// Who is just now doing something of that kind.
    pub fn hunt(&self, class: Class) -> Option<u32> {
        if class == Class::Growth {
            // The lock of the space held, and nothing written there yet: room is being looked for, or made.
            let grows = || self.half(4096) != 0 && self.word(4104) == 0;
            return (grows() && grows()).then(|| self.owner(4096)).flatten();
        }
        (0..self.shards).find_map(|shard| {
            let (intent, notes) = (self.word(self.shard(shard) + 128) & 0xff, self.word(self.shard(shard) + 160));
            let fits = match class {
                Class::Transaction => intent == 3,
                Class::Allocation => matches!(intent, 1 | 4) && notes != 0,
                _ => intent != 0,
            };
            if fits { self.owner(self.shard(shard)) } else { None }
        })
    }

    /// Who has taken the lock of that shard, which is still as the dead one left it.
    pub fn recoverer(&self, left: &Unfinished, dead: u32) -> Option<u32> {
        let owner = self.owner(self.shard(left.shard)).filter(|owner| *owner != dead)?;
        (self.unfinished(left.shard).as_ref() == Some(left)).then_some(owner)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and nobody keeps a pointer into it.
        unsafe { libc::munmap(self.map.cast_mut().cast(), self.len) };
    }
}

/// Whether the stopped process is in `fallocate(2)`: the only call that it makes with the lock of the space held and
/// that takes long.
fn in_fallocate(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let call = std::fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        call.split(' ').next() == Some(&libc::SYS_fallocate.to_string())
    })
}
