//! `leader run`: runs a program while leading.

use std::{ffi::OsString, fs, io::pipe, os::fd::AsFd, thread, time::Duration};

use clap::Args;
use shmsync::{Leader, Leadership, Revoked, Sync};

use crate::{
    context::Context,
    duration,
    failure::{Answer, Failure, Outcome},
    output::complain,
    program::Program,
    turn::in_time,
    verb::lock::carried,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync leader run scheduler -- ./scheduler            on every instance: one runs, the others stand by
  shmsync leader run scheduler --id \"$HOSTNAME\" --ttl 10s -- ./scheduler

It waits for its turn as long as it takes, or for --timeout. CMD finds its token in SHMSYNC_TOKEN. Signals are passed on.
When CMD ends, the leadership is given up. When the leadership is lost (by force, with the store, or because this command stood
still for longer than --ttl), CMD is told to end (SIGTERM), and killed after --grace. Should this command be killed (SIGKILL),
CMD goes on leading through a descriptor that it inherits; with --ttl only until that is over.

Exit codes: that of CMD; 128 + S if signal S killed it; 127 not found, 126 not executable; 1 (or -E) not elected in time, or the
leadership was lost; 125 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Run {
    /// The group
    group: String,
    /// What this candidate calls itself [default: HOST:PID]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Lose the leadership when it is not renewed for so long, as by a process that stands still; at least 10ms
    #[arg(long, value_name = "D", value_parser = duration::parse_limit, allow_negative_numbers = true)]
    ttl: Option<Duration>,
    /// How long CMD may take to end when the leadership is lost
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration::parse)]
    grace: Duration,
    /// Exit with this code when not elected, or when the leadership was lost [default: 1]
    #[arg(short = 'E', long, value_name = "CODE")]
    conflict_exit_code: Option<u8>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    program: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let id = self.id.clone().unwrap_or_else(own_name);
        context.check(|store| self.leader(store, context)?.try_elect(&id).map(drop))?;
        let leader = self.leader(&context.open()?, context)?;
        let Some(leadership) = elect(&leader, &id, context)? else {
            return Ok(Outcome::Code(self.conflict_exit_code.unwrap_or(1)));
        };
        context.say(|| format!("{id:?} leads group {:?}, token {}", self.group, leadership.token()));
        match self.run_leading(&leadership)? {
            End::Of(code) => Ok(Outcome::Code(code)),
            End::Lost(why) => {
                let why = match why {
                    Some(Revoked::Expired) => "it was not renewed in time",
                    Some(Revoked::Gone) => "the store is gone",
                    _ => "somebody ended it by force",
                };
                complain(&format!("group {:?}: {id:?} no longer leads, {why}; its program was stopped", self.group));
                Ok(Outcome::Code(self.conflict_exit_code.unwrap_or(1)))
            }
        }
    }

    fn leader(&self, store: &Sync, context: &Context) -> shmsync::Result<Leader> {
        let mut leader = store.leader(&self.group)?;
        if let Some(ttl) = self.ttl {
            leader = leader.ttl(ttl);
        }
        Ok(match &context.settings.label {
            Some(label) => leader.label(label),
            None => leader,
        })
    }

    fn run_leading(&self, leadership: &Leadership) -> Result<End, Failure> {
        let (lost, tell) = pipe().map_err(|error| format!("cannot make a pipe: {error}; close some files"))?;
        let carried = carried(leadership.inheritable())?;
        let mut program = Program::start(&self.program, leadership.token(), carried)?;
        thread::scope(|scope| {
            scope.spawn(move || {
                // Whatever it answers, nobody is sure to lead from then on. Closing the pipe tells.
                let _ = leadership.wait_revoked(None);
                drop(tell);
            });
            let end = match program.wait_or(Some(lost.as_fd()), None) {
                Ok(Some(code)) => Ok(End::Of(code)),
                Ok(None) => program.stop(self.grace).map(|_| End::Lost(why(leadership))),
                Err(failure) => Err(failure),
            };
            // Ends the thread, too. Where this fails, the store is gone.
            let _ = leadership.resign();
            end
        })
    }
}

/// How it ended.
enum End {
    /// The program did, with that status.
    Of(u8),
    /// The leadership did.
    Lost(Option<Revoked>),
}

fn why(leadership: &Leadership) -> Option<Revoked> {
    leadership.wait_revoked(Some(Duration::ZERO)).ok().flatten()
}

fn elect(leader: &Leader, id: &str, context: &Context) -> Result<Option<Leadership>, Failure> {
    match context.timeout() {
        None => Ok(Some(leader.elect(id)?)),
        Some(limit) if limit.is_zero() => Ok(leader.try_elect(id)?),
        Some(limit) => in_time(leader.elect_timeout(id, limit)),
    }
}

fn own_name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}
