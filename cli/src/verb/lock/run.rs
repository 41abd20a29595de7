//! `lock run`: runs a program while a lock is held.

use std::{ffi::OsString, os::fd::OwnedFd, time::Duration};

use clap::Args;
use shmsync::{ErrorKind, Lock, LockGuard, Sync};

use crate::{
    context::Context,
    duration,
    failure::{Answer, Failure, Outcome},
    output::complain,
    program::Program,
    turn::take,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync lock run deploy -- ./deploy.sh                 waits as long as it takes
  shmsync lock run deploy --timeout 0 -- ./deploy.sh     or not at all
  shmsync lock run --semaphore 4 encode -- ffmpeg …      four at once

CMD finds its token in SHMSYNC_TOKEN. Signals are passed on to it. The lock is given back when CMD itself has ended, even if
it leaves daemons behind. When the lock is lost (by force, with the store, or because a cluster heard nothing of this command
for too long), CMD is told to end (SIGTERM) within a second, and killed after --grace; --keep-running lets it go on. Should this
command be killed (SIGKILL), CMD and what it started keep the lock through a descriptor that they inherit, until all of them
have ended; sudo and others that close descriptors end that earlier. On a cluster nobody keeps it then.

Exit codes: that of CMD; 128 + S if signal S killed it; 127 not found, 126 not executable; 1 (or -E) the lock was not obtained
in time, or it was lost; 125 error.";

/// Between two looks whether the lock is still held.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Run {
    /// The lock
    name: String,
    /// Exit with this code when the lock was not obtained, or lost [default: 1]
    #[arg(short = 'E', long, value_name = "CODE")]
    conflict_exit_code: Option<u8>,
    /// Let so many run at once; the first use of the name fixes the number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "shared")]
    semaphore: Option<u32>,
    /// Share it with all others who share it
    #[arg(long)]
    shared: bool,
    /// How long CMD may take to end when the lock is lost
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration::parse)]
    grace: Duration,
    /// Let CMD go on when the lock is lost
    #[arg(long, conflicts_with = "grace")]
    keep_running: bool,
    #[arg(long, short, hide = true)]
    wait: bool,
    #[arg(long, hide = true, num_args = 0..=1, value_name = "D")]
    retry: Option<Option<String>>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    program: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.check(|store| self.lock(store))?;
        let mut lock = self.lock(&context.open()?)?;
        if let Some(label) = &context.settings.label {
            lock = lock.label(label);
        }
        let Some(guard) = take(context, &lock, context.timeout())? else {
            return Ok(Outcome::Code(self.conflict_exit_code.unwrap_or(1)));
        };
        let ran = match self.keep_running {
            true => Some(run_under(&guard, &self.program)?),
            false => self.run_while_held(&guard)?,
        };
        let released = guard.release().unwrap_or(false);
        if ran.is_none() || !released {
            let program = self.program[0].to_string_lossy();
            let end = if ran.is_none() { "which was stopped" } else { "which went on to its end" };
            complain(&format!("lock {:?}: it was lost while {program:?} ran, {end}; see who forced it", self.name));
        }
        Ok(Outcome::Code(ran.unwrap_or(self.conflict_exit_code.unwrap_or(1))))
    }

    /// Runs the program as long as the lock is held; its exit code, or `None` when it had to be stopped.
    fn run_while_held(&self, guard: &LockGuard) -> Result<Option<u8>, Failure> {
        let mut program = start_under(guard, &self.program)?;
        loop {
            match program.wait_or(None, Some(LOOK))? {
                Some(code) => return Ok(Some(code)),
                None if is_lost(guard) => return program.stop(self.grace).map(|_| None),
                None => {}
            }
        }
    }

    fn lock(&self, store: &Sync) -> shmsync::Result<Lock> {
        match self.semaphore {
            Some(permits) => store.semaphore(&self.name, permits),
            None if self.shared => Ok(store.lock(&self.name)?.shared()),
            None => store.lock(&self.name),
        }
    }
}

/// Runs a program to its end, which carries the lock on should this process be killed.
pub(crate) fn run_under(guard: &LockGuard, program: &[OsString]) -> Result<u8, Failure> {
    start_under(guard, program)?.wait()
}

fn start_under(guard: &LockGuard, program: &[OsString]) -> Result<Program, Failure> {
    Program::start(program, guard.token(), carried(guard.inheritable())?)
}

/// A store that does not answer has not taken it away; how long that may last, the session knows.
fn is_lost(guard: &LockGuard) -> bool {
    match guard.is_held() {
        Ok(held) => !held,
        Err(error) => error.kind() == ErrorKind::Gone,
    }
}

/// Where nothing can be carried on, as in `memory:`, nobody else sees the lock either.
pub(crate) fn carried(descriptor: shmsync::Result<OwnedFd>) -> Result<Option<OwnedFd>, Failure> {
    match descriptor {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        descriptor => Ok(Some(descriptor?)),
    }
}
