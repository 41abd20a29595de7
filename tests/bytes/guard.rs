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
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    words: &'static [AtomicU64; 4],
    /// The words live in its pages.
    _file: File,
}

const CASE: usize = 0;
const CALL: usize = 1;
const DUE: usize = 2;
const DONE: usize = 3;

impl Progress {
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(4096).unwrap();
        // SAFETY: a fresh mapping of a page that the file has; it is never unmapped, and only used as atomics.
        let words = unsafe {
            let flags = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(std::ptr::null_mut(), 4096, flags, libc::MAP_SHARED, file.as_raw_fd(), 0);
            assert_ne!(base, libc::MAP_FAILED);
            &*base.cast::<[AtomicU64; 4]>()
        };
        Self { words, _file: file }
    }

    pub fn begin_case(&self, case: u64) {
        self.words[CASE].store(case, SeqCst);
    }

    pub fn end_case(&self) {
        self.words[DUE].store(0, SeqCst);
        self.words[DONE].fetch_add(1, SeqCst);
    }

    /// A call begins that may take so long.
    pub fn begin_call(&self, call: u64, limit: Duration) {
        self.words[CALL].store(call, SeqCst);
        self.call_ends_within(limit);
    }

    /// From now on it may take so long.
    pub fn call_ends_within(&self, limit: Duration) {
        self.words[DUE].store(now_ms() + limit.as_millis() as u64, SeqCst);
    }

    pub fn end_call(&self) {
        self.words[DUE].store(0, SeqCst);
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

    pub fn is_overdue(&self) -> bool {
        let due = self.words[DUE].load(SeqCst);
        due != 0 && now_ms() > due
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}
