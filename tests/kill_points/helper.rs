//! Other processes: forked without `exec`, heard through a pipe, given up when they hang.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, FromRawFd},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

/// Whoever takes longer than this hangs: every bound of the store is far below.
pub const BOUND: Duration = Duration::from_secs(20);

/// A process that prepares something, waits to be told, and answers.
pub struct Helper {
    pid: i32,
    tell: Option<File>,
    hear: File,
}

pub type Answer = Result<String, String>;

/// Where something can be read, and where it is written.
pub fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the kernel fills two numbers, which are then ours alone.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "{}", io::Error::last_os_error());
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Reads up to so many bytes, or to the end. `None` for an error when it is too late.
pub fn read_some(from: &mut File, most: usize, end: Instant) -> Result<Vec<u8>, Option<io::Error>> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let mut poll = libc::pollfd { fd: from.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
        // SAFETY: one structure that outlives the call.
        if unsafe { libc::poll(&mut poll, 1, left) } == 0 {
            return Err(None);
        }
        let mut some = [0; 4096];
        let room = some.len().min(most - bytes.len());
        match from.read(&mut some[..room]).map_err(Some)? {
            0 => break,
            read => bytes.extend(&some[..read]),
        }
    }
    Ok(bytes)
}

impl Helper {
    /// Forks a process that does `prepare` at once and the rest when told to.
    pub fn start<P>(prepare: impl FnOnce() -> P, act: impl FnOnce(P) -> Answer) -> Self {
        let (their_ear, tell) = pipe();
        let (hear, mut their_mouth) = pipe();
        // SAFETY: this process has one thread, so a forked child can do anything.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                drop((tell, hear));
                // SAFETY: a plain system call.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let prepared = prepare();
                    their_mouth.write_all(b"!").expect("the parent listens");
                    let mut told = [0];
                    match (&their_ear).read(&mut told) {
                        Ok(1) => act(prepared),
                        _ => Err("nobody is left".into()),
                    }
                }));
                let text = match answer {
                    Ok(Ok(text)) => format!("+{text}"),
                    Ok(Err(text)) => format!("-{text}"),
                    Err(_) => "-it panics, see above".to_owned(),
                };
                let _ = their_mouth.write_all(text.as_bytes());
                // SAFETY: it ends this process at once; what it has open is closed by the kernel.
                unsafe { libc::_exit(0) }
            }
            pid => {
                let mut helper = Self { pid, tell: Some(tell), hear };
                let ready = helper.read(1);
                assert!(ready.is_ok_and(|bytes| bytes == b"!"), "a helper cannot prepare");
                helper
            }
        }
    }

    fn read(&mut self, most: usize) -> Result<Vec<u8>, String> {
        match read_some(&mut self.hear, most, Instant::now() + BOUND) {
            Err(None) => Err(format!("it hangs for {BOUND:?}; {}", self.where_it_is())),
            read => read.map_err(|error| error.map_or_else(String::new, |error| error.to_string())),
        }
    }

    fn where_it_is(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap_or_default();
        format!("wchan {}, syscall {}", read("wchan"), read("syscall").trim())
    }

    /// Tells it to go on and waits for its answer.
    pub fn ask(mut self) -> Answer {
        self.tell.take().expect("told once").write_all(b"!").map_err(|error| error.to_string())?;
        let bytes = self.read(usize::MAX)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match text.split_at_checked(1) {
            Some(("+", text)) => Ok(text.to_owned()),
            Some((_, text)) => Err(text.to_owned()),
            None => Err("it ends without an answer".to_owned()),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: the process is ours and was not waited for yet.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// Asks a process of its own.
pub fn elsewhere(act: impl FnOnce() -> Answer) -> Answer {
    Helper::start(|| (), |()| act()).ask()
}
