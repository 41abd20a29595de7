//! Room in a file: taken before it is used, given back in whole pages.
#![cfg_attr(test, allow(unsafe_code))]

use std::{fs::File, io};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};

use super::signals::BlockedSignals;

/// How often an interrupted call is made again. Signals are blocked, so only stopping, freezing and tracing interrupt.
const ATTEMPTS: u32 = 100;

/// Makes sure that every byte of `offset..offset + len` has room, extending the file if needed; what was there stays.
///
/// Never emulated by writing: that would race with others who extend the file. No signal reaches the caller's handlers
/// meanwhile, so that a periodic one cannot interrupt for ever and SIGXFSZ cannot kill.
///
/// # Errors
/// `StorageFull`, `QuotaExceeded` or `FileTooLarge` (also RLIMIT_FSIZE) when there is no room, `OutOfMemory` when a memory
/// cgroup refuses; `Unsupported` when the file system cannot do it.
///
/// # Crash safety
/// Killed in between, the file may be longer than before. tmpfs undoes what it could not complete, disks may not.
pub(crate) fn allocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    repeat(file, FallocateFlags::empty(), offset, len)
}

/// Whether an error of [`allocate`] says that there is no room: on the file system, for this user, for this process, or in
/// its memory cgroup.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | OutOfMemory)
}

/// Gives the room of `offset..offset + len` back to the system; the bytes read as zero and the file stays as long as it is.
///
/// # Errors
/// `Unsupported` when the file system cannot do it.
pub(crate) fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    repeat(file, FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, len)
}

fn repeat(file: &File, flags: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let (offset, len) = (signed(offset)?, signed(len)?);
    let blocked = BlockedSignals::new()?;
    let mut result = Err(Errno::EINTR);
    for _ in 0..ATTEMPTS {
        result = attempt(file, flags, offset, len);
        if result != Err(Errno::EINTR) {
            break;
        }
    }
    let result = result.map_err(worded);
    blocked.swallow_file_size_signal(&result);
    result
}

#[cfg(not(test))]
use fallocate as attempt;

/// As the system does it, or as a test wants it to fail.
#[cfg(test)]
fn attempt(file: &File, flags: FallocateFlags, offset: i64, len: i64) -> nix::Result<()> {
    match super::faults::next() {
        None => fallocate(file, flags, offset, len),
        Some(fault) => {
            if fault.half && len / 2 > 0 {
                fallocate(file, flags, offset, len / 2)?;
            }
            Err(fault.errno)
        }
    }
}

fn signed(value: u64) -> io::Result<i64> {
    i64::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

fn worded(errno: Errno) -> io::Error {
    match errno {
        Errno::EOPNOTSUPP | Errno::ENOSYS => {
            io::Error::new(io::ErrorKind::Unsupported, "this file system has no fallocate(2)")
        }
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {

    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use nix::sys::{
        resource::{Resource, setrlimit},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction},
    };

    use super::*;
    use crate::sys::{
        file::{pwrite_all_at, stat},
        testing::{Child, World},
    };

    static HEARD: AtomicU32 = AtomicU32::new(0);

    extern "C" fn hear(_: i32) {
        HEARD.fetch_add(1, SeqCst);
    }

    fn listen_for(signal: Signal) {
        let action = SigAction::new(SigHandler::Handler(hear), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler adds to an atomic and does nothing else.
        unsafe { sigaction(signal, &action) }.unwrap();
    }

    #[test]
    fn a_file_grows_and_keeps_what_it_had() {
        let world = World::new();
        pwrite_all_at(&world.file, b"kept", 0).unwrap();
        allocate(&world.file, 0, 1 << 20).unwrap();
        allocate(&world.file, 1 << 20, 1 << 16).unwrap();
        allocate(&world.file, 0, 0).unwrap();
        let grown = stat(&world.file).unwrap();
        assert_eq!(grown.size, (1 << 20) + (1 << 16));
        assert!(grown.blocks * 512 >= grown.size);
        let mut bytes = [0; 4];
        crate::sys::file::pread_exact_at(&world.file, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"kept");
    }

    #[test]
    fn room_is_given_back_without_a_change_of_size() {
        let world = World::new();
        allocate(&world.file, 0, 1 << 20).unwrap();
        punch(&world.file, 1 << 16, 1 << 19).unwrap();
        let punched = stat(&world.file).unwrap();
        assert_eq!(punched.size, 1 << 20);
        assert!(punched.blocks * 512 <= 1 << 19);
    }

    #[test]
    fn a_limit_on_file_sizes_is_an_error_and_not_a_signal() {
        let world = World::new();
        Child::fork(|| {
            setrlimit(Resource::RLIMIT_FSIZE, 1 << 16, 1 << 16).unwrap();
            // First with the default action, which is death.
            assert_eq!(allocate(&world.file, 0, 1 << 20).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
            listen_for(Signal::SIGXFSZ);
            assert_eq!(allocate(&world.file, 0, 1 << 20).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
            assert!(pwrite_all_at(&world.file, b"too far", 1 << 17).is_err());
            assert_eq!(stat(&world.file).unwrap().size, 0);
            allocate(&world.file, 0, 1 << 16).unwrap();
            HEARD.load(SeqCst) as i32
        })
        .succeeds();
    }

    #[test]
    fn a_signal_that_was_pending_before_is_still_delivered() {
        let world = World::new();
        Child::fork(|| {
            listen_for(Signal::SIGXFSZ);
            let only = SigSet::from(Signal::SIGXFSZ);
            only.thread_block().unwrap();
            raise(Signal::SIGXFSZ).unwrap();
            setrlimit(Resource::RLIMIT_FSIZE, 1 << 16, 1 << 16).unwrap();
            assert!(allocate(&world.file, 0, 1 << 20).is_err());
            assert_eq!(HEARD.load(SeqCst), 0);
            only.thread_unblock().unwrap();
            i32::from(HEARD.load(SeqCst) != 1)
        })
        .succeeds();
    }

    #[test]
    fn a_periodic_signal_does_not_interrupt_for_ever() {
        let world = World::new();
        Child::fork(|| {
            listen_for(Signal::SIGALRM);
            let each = libc::timeval { tv_sec: 0, tv_usec: 200 };
            let timer = libc::itimerval { it_interval: each, it_value: each };
            // SAFETY: the kernel reads one timer that is alive.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
            allocate(&world.file, 0, 64 << 20).unwrap();
            i32::from(HEARD.load(SeqCst) == 0)
        })
        .succeeds();
    }

    #[test]
    fn being_stopped_and_continued_does_not_interrupt() {
        let world = World::new();
        let child = Child::fork(|| {
            for _ in 0..20 {
                allocate(&world.file, 0, 32 << 20).unwrap();
                punch(&world.file, 0, 32 << 20).unwrap();
            }
            0
        });
        while child.is_running() {
            child.signal(Signal::SIGSTOP);
            child.signal(Signal::SIGCONT);
            std::thread::sleep(std::time::Duration::from_micros(500));
        }
        child.succeeds();
    }

    #[test]
    fn a_full_file_system_is_an_error_that_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        Child::fork(|| {
            if !mount_small_tmpfs(path) {
                return 0; // Not allowed here.
            }
            let file = crate::sys::file::create_new(&folder.path().join("file"), 0o600).unwrap();
            allocate(&file, 0, 1 << 19).unwrap();
            let before = stat(&file).unwrap();
            assert_eq!(allocate(&file, 1 << 19, 1 << 20).unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert_eq!(stat(&file).unwrap(), before);
            allocate(&file, 1 << 19, 1 << 18).unwrap();
            0
        })
        .succeeds();
    }

    /// One MiB of memory at that path, for this process and its children only.
    fn mount_small_tmpfs(path: &str) -> bool {
        let path = std::ffi::CString::new(path).unwrap();
        let none = std::ptr::null();
        // SAFETY: all strings are alive and end with a zero.
        unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
                && libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=1m".as_ptr().cast()) == 0
        }
    }
}
