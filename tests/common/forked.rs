//! Children made by fork alone.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitStatus,
};

/// A process made by fork alone. It is killed when this is dropped.
pub struct Forked(i32);

/// Forks; the child runs `body` and ends with its outcome, without unwinding into the caller.
pub fn fork(body: impl FnOnce()) -> Forked {
    // SAFETY: the child only runs `body` and leaves by `_exit`. Locks of other threads may stay locked in it; glibc
    // keeps its own usable over fork, and what this library does in a forked child is what is tested.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        0 => {
            let code = match catch_unwind(AssertUnwindSafe(body)) {
                Ok(()) => 0,
                Err(panic) => {
                    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                    let text = format!("forked child: {text}\n");
                    // SAFETY: the bytes are valid for their length. Rust's own output may be captured, or locked.
                    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
                    1
                }
            };
            // SAFETY: it ends this process at once, without destructors of what belongs to the parent.
            unsafe { libc::_exit(code) }
        }
        pid => Forked(pid),
    }
}

impl Forked {
    pub fn pid(&self) -> i32 {
        self.0
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child was not waited for yet, so the number still means it.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0, "the child can be signalled");
    }

    /// Whether the child has ended; it can still be waited for.
    pub fn has_ended(&self) -> bool {
        // SAFETY: an all-zero `siginfo_t` is valid, and it outlives the call.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let result = libc::waitid(libc::P_PID, self.0 as libc::id_t, &mut info, options);
            assert_eq!(result, 0, "{}", io::Error::last_os_error());
            info.si_pid() != 0
        }
    }

    /// Stops the child, and returns when it stands still.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        // SAFETY: an all-zero `siginfo_t` is valid, and it outlives the call.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
            assert_eq!(libc::waitid(libc::P_PID, self.0 as libc::id_t, &mut info, options), 0);
        }
    }

    pub fn kill(self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    /// Waits for the child to end well.
    #[track_caller]
    pub fn finish(self) {
        let pid = self.0;
        let status = self.wait();
        assert!(status.success(), "forked child {pid} ends with {status}");
    }

    /// Waits for the child to end.
    pub fn wait(self) -> ExitStatus {
        use std::os::unix::process::ExitStatusExt;
        let mut status = 0;
        // SAFETY: `status` outlives the call; the child is ours and was not waited for yet.
        while unsafe { libc::waitpid(self.0, &mut status, 0) } == -1 {
            let error = io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::EINTR), "{error}");
        }
        std::mem::forget(self);
        ExitStatus::from_raw(status)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // SAFETY: as in `signal` and `wait`; a test that has failed leaves no process behind.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}
