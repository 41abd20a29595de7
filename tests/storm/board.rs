//! What all processes of the storm share outside of the store: what was begun, what was acknowledged, who is to park.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Workers at most, and threads of one.
pub const WORKERS: usize = 12;
pub const THREADS: usize = 3;
pub const LANES: usize = WORKERS * THREADS;
/// Keys that a thread has for itself, and counters that all share.
pub const OWN: usize = 16;
pub const COUNTERS: usize = 4;

/// Begun and acknowledged.
#[derive(Default)]
pub struct Tally {
    pub begun: AtomicU64,
    pub done: AtomicU64,
}

/// One thread of one worker. Whoever succeeds a dead one goes on with its numbers.
pub struct Lane {
    /// The numbers of the values stored last under its own keys.
    pub own: [Tally; OWN],
    /// How often it incremented each counter.
    pub counters: [Tally; COUNTERS],
    /// How often it went through its exclusive section.
    pub exclusive: Tally,
    /// The phase that it has seen; odd ones are for parking.
    pub phase: AtomicU64,
    /// Whether a thread is at work here.
    pub busy: AtomicU64,
    pub operations: AtomicU64,
}

/// The whole board, in memory that forked processes share.
pub struct Board {
    pub lanes: [Lane; LANES],
    /// Even: work. Odd: park.
    pub phase: AtomicU64,
    /// The bell ringer ends.
    pub over: AtomicU64,
    /// Which store of a round is in use.
    pub store: AtomicU64,
    pub faults: AtomicU64,
    pub full: AtomicU64,
    /// The seed of each worker that lives.
    pub lives: [AtomicU64; WORKERS],
    /// The last token of a turn that was looked at, and how many turns there were.
    pub token: AtomicU64,
    pub turns: AtomicU64,
}

impl Board {
    pub fn new() -> &'static Self {
        // SAFETY: a new zeroed mapping, never unmapped; all fields are atomics, for which zeros are valid.
        unsafe {
            let map = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert!(map != libc::MAP_FAILED, "memory for the board");
            &*map.cast::<Self>()
        }
    }

    /// A new round begins with nothing done.
    pub fn wipe(&self) {
        for lane in &self.lanes {
            let tallies = lane.own.iter().chain(&lane.counters).chain([&lane.exclusive]);
            for tally in tallies {
                tally.begun.store(0, SeqCst);
                tally.done.store(0, SeqCst);
            }
            lane.busy.store(0, SeqCst);
        }
        self.over.store(0, SeqCst);
        self.token.store(0, SeqCst);
    }

    pub fn operations(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.operations.load(SeqCst)).sum()
    }

    /// Done and begun by all, of something that each lane keeps.
    pub fn sums(&self, of: impl Fn(&Lane) -> &Tally) -> (u64, u64) {
        self.lanes
            .iter()
            .map(of)
            .fold((0, 0), |(done, begun), tally| (done + tally.done.load(SeqCst), begun + tally.begun.load(SeqCst)))
    }
}
