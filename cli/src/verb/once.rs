//! `once`: runs a program at most once in a while, wherever it is called.

use std::{
    ffi::OsString,
    time::{Duration, SystemTime},
};

use clap::Args;
use shmsync::{Lock, LockGuard};

use super::lock::run_under;
use crate::{
    context::Context,
    duration,
    failure::{Answer, Failure, Outcome},
    moment::left_of_window,
};

const AFTER_HELP: &str = "\
Examples:
  */10 * * * * shmsync once cleanup --window 10m -- ./cleanup.sh     in the crontab of every instance
  shmsync once report --every 1d --retry-failed -- ./report.sh

--window counts windows from 1970 on, in UTC: the first call in each window runs CMD. It is the one for cron, whose calls come
a little earlier or later. --every counts from the beginning of the last run.

Who comes later in that time, or while CMD runs elsewhere, skips it: silently, with exit code 0 or that of -E. A CMD that fails
uses the time up too, unless --retry-failed gives it back. CMD finds its token in SHMSYNC_TOKEN; signals are passed on. The
lock behind it is named once/NAME; 'lock free once/NAME --force' lets the next call run. After a reboot, it may run again.

Exit codes: that of CMD; 128 + S if signal S killed it; 127 not found, 126 not executable; 0 (or -E) skipped; 125 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Once {
    /// What is to be done; those who give the same name do it once
    name: String,
    /// Not again for so long after it began (500ms, 1.5s, 10, 2m, 1h)
    #[arg(long, value_name = "D", value_parser = duration::parse_limit, allow_negative_numbers = true)]
    #[arg(required_unless_present = "window", conflicts_with = "window")]
    every: Option<Duration>,
    /// Not again in this minute, hour, …: 1m, 1h, 1d
    #[arg(long, value_name = "D", value_parser = duration::parse_limit, allow_negative_numbers = true)]
    window: Option<Duration>,
    /// Exit with this code when it is skipped [default: 0]
    #[arg(short = 'E', long, value_name = "CODE")]
    conflict_exit_code: Option<u8>,
    /// Let the next call try again when CMD failed
    #[arg(long)]
    retry_failed: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    program: Vec<OsString>,
}

impl Once {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let name = format!("once/{}", self.name);
        context.check(|store| store.lock(&self.name).and(store.lock(&name)))?;
        let mut lock = context.open()?.lock(&name)?.hold_at_least(self.time());
        if let Some(label) = &context.settings.label {
            lock = lock.label(label);
        }
        let Some(guard) = lock.try_acquire()? else {
            context.say(|| format!("{:?} was done in this time, or is being done elsewhere; skipped", self.name));
            return Ok(Outcome::Code(self.conflict_exit_code.unwrap_or(0)));
        };
        let answer = run_under(&guard, &self.program);
        if self.gives_back(&answer) {
            give_back(&lock, guard)?;
        } else {
            guard.release()?;
        }
        answer.map(Outcome::Code)
    }

    /// Until when others are kept out.
    fn time(&self) -> Duration {
        let window = self.window.map(|window| left_of_window(window, SystemTime::now()));
        window.or(self.every).unwrap_or_default().max(Duration::from_millis(1))
    }

    /// What never began has not used anything up.
    fn gives_back(&self, answer: &Result<u8, Failure>) -> bool {
        match answer {
            Ok(code) => *code != 0 && self.retry_failed,
            Err(_) => true,
        }
    }
}

/// Ends the holding with its least time. Only force does that, so it must still be ours.
fn give_back(lock: &Lock, guard: LockGuard) -> Result<(), Failure> {
    if guard.is_held()? {
        lock.force_release()?;
    }
    Ok(())
}
