//! A program that is run: started, told of signals, waited for.

use std::{
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd, siginfo},
    },
    unistd::{Pid, getpgid, getpgrp, tcgetpgrp},
};
use shmsync::Token;

use crate::failure::Failure;

/// The variable in which the program finds its token.
const TOKEN: &str = "SHMSYNC_TOKEN";
/// What is passed on. The rest either cannot be caught or is nobody else's business.
const PASSED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// What terminals send to everybody in the foreground.
const TYPED: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGWINCH, Signal::SIGCONT];

/// A program that runs.
pub(crate) struct Program {
    child: Child,
    signals: SignalFd,
}

impl Program {
    /// Starts it. From now on signals go to it, not to this process. `carried` is inherited by it alone.
    pub(crate) fn start(words: &[OsString], token: Token, carried: Option<OwnedFd>) -> Result<Self, Failure> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(Failure::Message("there is no program to run; name one after --".into()));
        };
        let failed = |error: io::Error| format!("cannot watch for signals: {error}; try again");
        let early = hold_off().map_err(failed)?;
        let mut set: SigSet = PASSED.into_iter().collect();
        set.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).map_err(|error| failed(error.into()))?;
        let mut owed = noted(&early);
        let child = Command::new(name).args(arguments).env(TOKEN, token.to_string()).spawn();
        drop(carried);
        let child = child.map_err(|error| refused(&name.to_string_lossy(), &error))?;
        let program = Self { child, signals };
        // Only now, because the program inherits what is blocked.
        if let Err(error) = set.thread_block() {
            program.tell(Signal::SIGKILL);
            return Err(failed(error.into()).into());
        }
        // Since then the program was there too: what a terminal sent, it has got by itself.
        let by_terminal = |signal: &Signal| TYPED.contains(signal) && is_in_foreground();
        owed.extend(noted(&early).into_iter().filter(|signal| !by_terminal(signal)));
        owed.into_iter().for_each(|signal| program.tell(signal));
        Ok(program)
    }

    /// Waits for its end; tells its status as a shell does.
    pub(crate) fn wait(&mut self) -> Result<u8, Failure> {
        loop {
            if let Some(status) = self.wait_or(None, None)? {
                return Ok(status);
            }
        }
    }

    /// As [`Program::wait`], but gives up with `None` when something is to be read or was closed, or the time is up.
    pub(crate) fn wait_or(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        limit: Option<Duration>,
    ) -> Result<Option<u8>, Failure> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let failed = |error: io::Error| Failure::from(format!("cannot wait for the program: {error}; look after it"));
        loop {
            if let Some(status) = self.child.try_wait().map_err(failed)? {
                return Ok(Some(code(status)));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            if self.sleep(other, left).map_err(|error| failed(error.into()))? {
                return Ok(None);
            }
        }
    }

    /// Asks it to end; kills it when it has not ended in time.
    pub(crate) fn stop(&mut self, grace: Duration) -> Result<u8, Failure> {
        self.tell(Signal::SIGTERM);
        // What is stopped hears nothing.
        self.tell(Signal::SIGCONT);
        match self.wait_or(None, Some(grace))? {
            Some(status) => Ok(status),
            None => {
                self.tell(Signal::SIGKILL);
                self.wait()
            }
        }
    }

    /// Sleeps until there is a signal, which is passed on, or something on `other`: then `true`.
    fn sleep(&self, other: Option<BorrowedFd<'_>>, left: Option<Duration>) -> Result<bool, Errno> {
        let mut sources = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        sources.extend(other.map(|other| PollFd::new(other, PollFlags::POLLIN)));
        // A millisecond more, so that it is not too early; the longest that poll takes is 24 days.
        let timeout = left
            .map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX));
        match poll(&mut sources, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        let is_other = sources.get(1).and_then(PollFd::any).unwrap_or(false);
        while let Some(signal) = self.signals.read_signal()? {
            self.pass(&signal);
        }
        Ok(is_other)
    }

    /// Passes a signal on, unless the program has it already: a terminal sends to all in the foreground.
    fn pass(&self, signal: &siginfo) {
        let Some(number) = i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) else {
            return;
        };
        let from_terminal = signal.ssi_code == libc::SI_KERNEL;
        if number != Signal::SIGCHLD && !(from_terminal && getpgid(Some(self.pid())) == Ok(getpgrp())) {
            self.tell(number);
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// It was not waited for yet, so this id is still its own. One that cannot be told (another user's) goes on.
    fn tell(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }
}

/// The signals that came since this was asked last.
fn noted(early: &[(Signal, Arc<AtomicBool>)]) -> Vec<Signal> {
    early.iter().filter(|(_, came)| came.swap(false, Relaxed)).map(|(signal, _)| *signal).collect()
}

/// Whether what is typed at the terminal goes to this process and those it starts.
fn is_in_foreground() -> bool {
    let terminal = fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

/// From now on signals do not end this process, but are noted. The program has none of this: `exec` makes the default of what
/// is caught; only what is ignored stays so (`nohup`), and is therefore left alone.
fn hold_off() -> io::Result<Vec<(Signal, Arc<AtomicBool>)>> {
    let ignored = ignored();
    let mut early = Vec::new();
    for signal in PASSED.into_iter().filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0) {
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal as i32, Arc::clone(&came))?;
        early.push((signal, came));
    }
    // Where it was ignored, the kernel would throw the status of the program away.
    signal_hook::flag::register(Signal::SIGCHLD as i32, Arc::default())?;
    Ok(early)
}

/// The signals that were ignored when this process began, a bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn code(status: ExitStatus) -> u8 {
    let number = status.code().or(status.signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

/// Why it could not be started, with the exit codes of `env` and shells.
fn refused(name: &str, error: &io::Error) -> Failure {
    let (code, next) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => (127, "check its name, and PATH"),
        Some(Errno::ENOEXEC) => (126, "give it a first line like #!/bin/sh, or run it with sh"),
        Some(Errno::EAGAIN | Errno::ENOMEM) => (125, "try again when there is room for more processes"),
        _ => (126, "check that it is a program and may be executed"),
    };
    Failure::Program { code, message: format!("cannot run {name:?}: {error}; {next}") }
}
