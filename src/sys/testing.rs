//! Real processes for tests: forked, killed, waited for.
#![allow(unsafe_code)]

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, fork},
};

use super::page::Page;

/// No test takes longer: a child that hangs is ended by its alarm, a parent that waits gives up.
const WATCHDOG_SECONDS: u32 = 60;

/// A forked child of the test, killed and reaped when it is dropped.
pub(crate) struct Child(Option<Pid>);

impl Child {
    /// Runs `f` in a forked child, which ends with the number that `f` returns, or with 101 after a panic.
    pub(crate) fn fork(f: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child runs test code on its only thread, under an alarm, and leaves by `_exit`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Self(Some(child)),
            ForkResult::Child => {
                alarm::set(WATCHDOG_SECONDS);
                let code = catch_unwind(AssertUnwindSafe(f)).unwrap_or(101);
                // SAFETY: ends the process at once; nothing of the test harness runs twice.
                unsafe { libc::_exit(code) }
            }
        }
    }

    /// A child that does as told and then sleeps until it is killed.
    pub(crate) fn fork_and_sleep(f: impl FnOnce()) -> Self {
        Self::fork(move || {
            f();
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        })
    }

    /// Sends a signal and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.0.expect("alive"), signal).unwrap();
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            kill(pid, Signal::SIGKILL).unwrap();
            waitpid(pid, None).unwrap();
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.expect("alive").as_raw() as u32
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&self) -> bool {
        let id = Id::Pid(self.0.expect("alive"));
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(id, flags).unwrap() == WaitStatus::StillAlive
    }

    /// What it ended with, if not by a signal.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        match waitpid(self.0.take().expect("waited for once"), None).unwrap() {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        }
    }

    /// Waits for the end, which must be a success.
    #[track_caller]
    pub(crate) fn succeeds(mut self) {
        assert_eq!(self.exit_code(), Some(0));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Words that a test shares with its children.
pub(crate) struct SharedWords(Page);

impl SharedWords {
    pub(crate) fn new() -> Self {
        Self(Page::shared().unwrap())
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < 1024);
        // SAFETY: within the page, aligned, only used as atomics, alive as long as `self`.
        unsafe { AtomicU32::from_ptr(self.0.base().cast::<u32>().add(index)) }
    }

    /// Waits until somebody stored that there.
    #[track_caller]
    pub(crate) fn until(&self, index: usize, wanted: u32) {
        eventually(|| self.word(index).load(SeqCst) == wanted);
    }
}

/// Waits until it is so, and fails when it never is.
#[track_caller]
pub(crate) fn eventually(mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(WATCHDOG_SECONDS.into());
    while !so() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A folder of the test's own and a file in it, in shared memory where there is any.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = folder.path().join("file");
        let file = super::file::create_new(&path, 0o600).unwrap();
        Self { folder, path, file }
    }
}
