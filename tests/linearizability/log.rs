//! Where processes write down what they do. It is memory that all of them share, so it outlives whoever is killed.

use std::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

use super::operation::{Answer, Call, Operation};

pub const LANES: usize = 12;
/// Operations of a lane.
pub const ROOM: usize = 60_000;

/// One operation. It has begun when `begin` is not 0, and was answered when `end` is not 0.
pub struct Entry {
    begin: AtomicU64,
    end: AtomicU64,
    call: UnsafeCell<MaybeUninit<(usize, Call)>>,
    answer: UnsafeCell<MaybeUninit<Answer>>,
}

/// What the processes that follow one another at one place have done.
pub struct Lane {
    /// Entries in use.
    pub used: AtomicU64,
    /// The number of the last value that was written here.
    pub serial: AtomicU64,
    entries: [Entry; ROOM],
}

/// What all processes share outside of the store.
pub struct Log {
    pub over: AtomicU64,
    pub lanes: [Lane; LANES],
}

// SAFETY: an entry is written by the one process that has its lane, and read once that has ended.
unsafe impl core::marker::Sync for Log {}

/// Nanoseconds of a clock that all processes share.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills one structure.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Log {
    pub fn new() -> &'static Self {
        // SAFETY: a new zeroed mapping, never unmapped; zeros are valid atomics, and nothing else is looked at before
        // it was written.
        unsafe {
            let map = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            assert!(map != libc::MAP_FAILED, "memory for the log");
            &*map.cast::<Self>()
        }
    }

    pub fn wipe(&self) {
        self.over.store(0, SeqCst);
        for lane in &self.lanes {
            for entry in &lane.entries[..lane.len()] {
                entry.begin.store(0, Relaxed);
                entry.end.store(0, Relaxed);
            }
            lane.used.store(0, SeqCst);
            lane.serial.store(0, SeqCst);
        }
    }

    /// Whether any lane has little room left.
    pub fn is_full(&self) -> bool {
        self.lanes.iter().any(|lane| lane.len() + 100 > ROOM)
    }
}

impl Lane {
    pub fn len(&self) -> usize {
        self.used.load(SeqCst) as usize
    }

    /// Whether the last call was not answered yet.
    pub fn is_busy(&self) -> bool {
        self.len().checked_sub(1).is_some_and(|last| self.entries[last].end.load(SeqCst) == 0)
    }

    /// Writes down that a call begins, at this entry, and makes sure that it has not begun before.
    pub fn begin(&self, at: usize, key: usize, call: Call) {
        let entry = &self.entries[at];
        entry.end.store(0, Relaxed);
        // SAFETY: nobody else has this lane.
        unsafe { (*entry.call.get()).write((key, call)) };
        entry.begin.store(now(), Release);
        self.used.store(at as u64 + 1, Release);
        fence(SeqCst);
    }

    /// Writes down that it was answered.
    pub fn end(&self, at: usize, answer: Answer) {
        let time = now();
        let entry = &self.entries[at];
        // SAFETY: nobody else has this lane.
        unsafe { (*entry.answer.get()).write(answer) };
        entry.end.store(time, Release);
    }

    /// Writes down what began and was answered then.
    pub fn add(&self, (key, call): (usize, Call), answer: Answer, (begin, end): (u64, u64)) {
        let at = self.len();
        self.begin(at, key, call);
        self.entries[at].begin.store(begin, Release);
        self.end(at, answer);
        self.entries[at].end.store(end, Release);
    }

    /// Its operations, once their processes have ended. `died`: since when the process was dead whose last operation
    /// was that one.
    pub fn operations(&self, lane: usize, died: &[(usize, u64)]) -> Vec<Operation> {
        let read = |(at, entry): (usize, &Entry)| {
            let (begin, end) = (entry.begin.load(Acquire), entry.end.load(Acquire));
            // SAFETY: whoever had the lane wrote the call before `begin`, and the answer before `end`.
            let (call, answer) = unsafe {
                ((*entry.call.get()).assume_init_read(), (end != 0).then(|| (*entry.answer.get()).assume_init_read()))
            };
            let ((key, call), death) = (call, died.iter().find(|(entry, _)| *entry == at));
            let end = if answer.is_some() { end } else { death.map_or(u64::MAX, |(_, time)| *time) };
            Operation { lane, key, call, answer, begin, end }
        };
        let begun = self.entries[..self.len()].iter().enumerate().filter(|(_, entry)| entry.begin.load(Acquire) != 0);
        // Of whoever was killed while it looked at something, nothing is known.
        begun.map(read).filter(|operation| operation.answer.is_some() || !operation.is_read()).collect()
    }
}
