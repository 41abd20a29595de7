//! Watches of prefixes: a small table that writers look at only when it is not empty.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | who watches: number << 13 \| slot; 0 = nobody |
//! | 8 | 8 | shards in which something changed since the watcher looked, a bit each |
//! | 16 | 4 | wait word |
//! | 24 | 8 | space << 32 \| length of the prefix, at most 96 |
//! | 32 | 96 | prefix, or as much of it as fits |
//!
//! A bit for each watch stands in the live block; it is set after all else was written, and cleared first.

use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};

use super::{
    layout::{WATCH_COUNT, WATCH_SIZE, WATCHES, live},
    memory::Memory,
};
use crate::primitive::{
    atomics::fence,
    wait_word::{Duty, WaitWord},
};

const DIRTY: u64 = 8;
const WAIT: u64 = 16;
const WHAT: u64 = 24;
const PREFIX: u64 = 32;
const LONGEST: usize = 96;

const _: () = assert!(PREFIX + LONGEST as u64 == WATCH_SIZE && WATCH_COUNT == 64);

/// The table of watches.
#[derive(Clone, Copy)]
pub(crate) struct Watches<'a>(pub(crate) &'a Memory);

impl<'a> Watches<'a> {
    fn at(index: u64) -> u64 {
        WATCHES + index * WATCH_SIZE
    }

    /// Takes a place for a watcher; a dead one's if need be. Everything counts as changed at first.
    pub(crate) fn add(&self, owner: u64, space: u64, prefix: &[u8], is_dead: impl Fn(u64) -> bool) -> Option<u64> {
        let taken = (0..WATCH_COUNT).find(|index| {
            let at = Self::at(*index);
            let present = self.0.load(at, Acquire);
            (present == 0 || is_dead(present)) && self.0.exchange(at, present, owner).is_ok()
        })?;
        self.change_bit(taken, false);
        let mut bytes = prefix[..prefix.len().min(LONGEST)].to_vec();
        let len = bytes.len() as u64;
        bytes.resize(LONGEST, 0);
        self.0.copy_in(Self::at(taken) + PREFIX, &bytes);
        self.0.store(Self::at(taken) + WHAT, space << 32 | len, Release);
        self.0.store(Self::at(taken) + DIRTY, u64::MAX, Release);
        self.change_bit(taken, true);
        // Whoever has not seen the bit has published its change before: the watcher's first look sees that.
        fence(SeqCst);
        Some(taken)
    }

    /// Gives a place up, if it is still this watcher's.
    pub(crate) fn remove(&self, index: u64, owner: u64) {
        if self.is_held(index, owner) {
            self.change_bit(index, false);
            let _ = self.0.exchange(Self::at(index), owner, 0);
        }
    }

    /// Whether the place is still this watcher's.
    pub(crate) fn is_held(&self, index: u64, owner: u64) -> bool {
        self.0.load(Self::at(index), Acquire) == owner
    }

    fn change_bit(&self, index: u64, set: bool) {
        loop {
            let word = self.0.load(live::WATCHES, Acquire);
            let new = if set { word | 1 << index } else { word & !(1 << index) };
            if word == new || self.0.exchange(live::WATCHES, word, new).is_ok() || !self.0.writable() {
                return;
            }
        }
    }

    /// The shards in which something changed since the last call.
    pub(crate) fn take_dirty(&self, index: u64) -> u64 {
        self.0.swap(Self::at(index) + DIRTY, 0, SeqCst)
    }

    /// Whether something changed since.
    pub(crate) fn is_dirty(&self, index: u64) -> bool {
        self.0.load(Self::at(index) + DIRTY, SeqCst) != 0
    }

    /// The wait word of a watch.
    pub(crate) fn wait_word(&self, index: u64) -> WaitWord<'a> {
        WaitWord { word: Self::at(index) + WAIT, memory: self.0 }
    }

    /// Wakes all who watch.
    pub(crate) fn notify_all(&self) {
        (0..WATCH_COUNT).for_each(|index| self.wait_word(index).notify());
    }

    /// Whether anybody watches. The change was published by a sequentially consistent store before.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.0.load(live::WATCHES, SeqCst) != 0
    }

    /// Tells all whose prefix it is that a key of a shard has changed.
    pub(crate) fn tell(&self, space: u64, key: &[u8], shard: u32, duty: Duty) {
        let active = self.0.load(live::WATCHES, Acquire);
        let mut prefix = Vec::with_capacity(LONGEST);
        for index in (0..WATCH_COUNT).filter(|index| active >> index & 1 == 1) {
            let what = self.0.load(Self::at(index) + WHAT, Acquire);
            let len = ((what & u64::from(u32::MAX)) as usize).min(LONGEST);
            let _ = self.0.copy_out(Self::at(index) + PREFIX, len, &mut prefix);
            if what >> 32 == space && key.starts_with(&prefix) {
                self.0.fetch_or(Self::at(index) + DIRTY, 1 << shard, SeqCst);
                self.wait_word(index).notify_of(duty);
            }
        }
    }
}
