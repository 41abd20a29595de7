//! What a call may cost: memory that is counted, and a clock that another process looks at.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs::{File, OpenOptions},
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

/// The system's allocator, counting.
pub struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the promises that `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

/// Runs something and tells by how many bytes the heap grew at most meanwhile.
pub fn allocated_by<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = run();
    (result, PEAK.load(Relaxed).saturating_sub(before))
}

/// What a worker is doing, in memory that its parent sees.
pub struct Progress {
    words: &'static [AtomicU64; WORDS],
    /// The words live in its pages.
    _file: File,
}

const CASE: usize = 0;
const CALL: usize = 1;
const DONE: usize = 2;
/// When the call began that is counted; 0 = none.
const BEGAN: usize = 3;
const LIMIT: usize = 4;
/// The thread that calls, and how long it had waited for a processor before.
const THREAD: usize = 5;
const STARVED: usize = 6;
const WORDS: usize = 7;

impl Progress {
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(4096).unwrap();
        // SAFETY: a fresh mapping of a page that the file has; it is never unmapped, and only used as atomics.
        let words = unsafe {
            let flags = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(std::ptr::null_mut(), 4096, flags, libc::MAP_SHARED, file.as_raw_fd(), 0);
            assert_ne!(base, libc::MAP_FAILED);
            &*base.cast::<[AtomicU64; WORDS]>()
        };
        Self { words, _file: file }
    }

    pub fn begin_case(&self, case: u64) {
        self.words[CASE].store(case, SeqCst);
    }

    pub fn end_case(&self) {
        self.words[BEGAN].store(0, SeqCst);
        self.words[DONE].fetch_add(1, SeqCst);
    }

    /// A call begins that may take so long.
    pub fn begin_call(&self, call: u64, limit: Duration) {
        self.words[CALL].store(call, SeqCst);
        self.call_ends_within(limit);
    }

    /// From now on it may take so long, not counting how long it waits for a processor.
    pub fn call_ends_within(&self, limit: Duration) {
        // SAFETY: has no conditions.
        let thread = unsafe { libc::gettid() } as u64;
        self.words[THREAD].store(thread, SeqCst);
        self.words[STARVED].store(starved_ms(thread), SeqCst);
        self.words[LIMIT].store(limit.as_millis() as u64, SeqCst);
        self.words[BEGAN].store(now_ms(), SeqCst);
    }

    pub fn end_call(&self) {
        self.words[BEGAN].store(0, SeqCst);
    }

    pub fn case(&self) -> u64 {
        self.words[CASE].load(SeqCst)
    }

    pub fn call(&self) -> u64 {
        self.words[CALL].load(SeqCst)
    }

    pub fn done(&self) -> u64 {
        self.words[DONE].load(SeqCst)
    }

    pub fn limit(&self) -> Duration {
        Duration::from_millis(self.words[LIMIT].load(SeqCst))
    }

    pub fn is_overdue(&self) -> bool {
        let [began, limit, thread, before] = [BEGAN, LIMIT, THREAD, STARVED].map(|word| self.words[word].load(SeqCst));
        let elapsed = now_ms().saturating_sub(began);
        if began == 0 || elapsed <= limit {
            return false;
        }
        let starved = starved_ms(thread).saturating_sub(before);
        // Another call may have begun meanwhile.
        elapsed > limit + starved && self.words[BEGAN].load(SeqCst) == began
    }
}

/// How long a thread has been ready to run without a processor, as the kernel counts it.
fn starved_ms(thread: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    text.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0_u64) / 1_000_000
}

fn now_ms() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() as u64 * 1_000 + now.tv_nsec() as u64 / 1_000_000
}
