//! What the machine itself needs: a page that processes share, an atomic counter and a futex in it.

use std::{
    fs::OpenOptions,
    path::Path,
    sync::atomic::{
        AtomicI64, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use memmap2::MmapMut;

use super::Peer;
use crate::{
    failure::{Outcome, fail},
    keys::Key,
};

/// What lies in the page.
#[repr(C)]
struct Page {
    count: AtomicI64,
    message: AtomicU64,
    messages: AtomicU32,
    turn: AtomicU32,
    inside: AtomicU32,
}

pub(crate) struct Bare {
    map: MmapMut,
}

impl Bare {
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join("page");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(4096)?;
        // SAFETY: the file is ours, is never made shorter, and is used through atomics only.
        Ok(Self { map: unsafe { MmapMut::map_mut(&file)? } })
    }

    #[inline]
    fn page(&self) -> &Page {
        // SAFETY: a mapped page is aligned, larger than this, never moved while the map lives, and all zeros are valid;
        // everything in it is atomic, so that other processes may write meanwhile.
        unsafe { &*self.map.as_ptr().cast::<Page>() }
    }

    /// How many messages there were.
    pub(crate) fn messages(&self) -> u32 {
        self.page().messages.load(Acquire)
    }

    /// Sleeps until it is the turn of that one of two.
    pub(crate) fn await_turn(&self, me: u32) {
        let page = self.page();
        loop {
            let turn = page.turn.load(Acquire);
            if turn % 2 == me {
                return;
            }
            futex(&page.turn, libc::FUTEX_WAIT, turn);
        }
    }

    /// It is the other one's turn.
    pub(crate) fn pass(&self) {
        let page = self.page();
        page.turn.fetch_add(1, Release);
        futex(&page.turn, libc::FUTEX_WAKE, 1);
    }

    /// Notes who is in; tells who was before.
    pub(crate) fn enter(&self, me: u32) -> u32 {
        self.page().inside.swap(me, Relaxed)
    }

    /// Leaves a message and wakes who sleeps.
    pub(crate) fn send(&self, message: u64) {
        let page = self.page();
        page.message.store(message, Relaxed);
        page.messages.fetch_add(1, Release);
        futex(&page.messages, libc::FUTEX_WAKE, 1);
    }

    /// Sleeps until there are more messages than `known`; tells how many, and the last one.
    pub(crate) fn receive(&self, known: u32) -> (u32, u64) {
        let page = self.page();
        loop {
            let messages = page.messages.load(Acquire);
            if messages != known {
                return (messages, page.message.load(Relaxed));
            }
            futex(&page.messages, libc::FUTEX_WAIT, known);
        }
    }
}

fn futex(word: &AtomicU32, operation: i32, value: u32) {
    // SAFETY: the word outlives the call; no time limit is given. Every error means: look again.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, std::ptr::null::<libc::timespec>()) };
}

impl Peer for Bare {
    const NAME: &'static str = "bare";

    fn get(&mut self, _key: Key<'_>, _into: &mut Vec<u8>) -> Outcome<()> {
        fail("a page has no keys")
    }

    fn set(&mut self, _key: Key<'_>, _value: &[u8]) -> Outcome<()> {
        fail("a page has no keys")
    }

    #[inline]
    fn add(&mut self, by: i64) -> Outcome<i64> {
        Ok(self.page().count.fetch_add(by, Relaxed) + by)
    }
}
