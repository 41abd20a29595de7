//! `lock`: taking turns. One file for each of its verbs.

mod free;
mod run;
mod set;
mod status;
mod wait;

pub(crate) use run::{carried, run_under};

use clap::{Args, Subcommand};

use crate::{context::Context, failure::Answer};

const AFTER_HELP: &str = "\
Examples:
  shmsync lock run deploy -- ./deploy.sh                 one after the other
  shmsync lock set deploy --wait && ./deploy.sh; shmsync lock free deploy
  shmsync lock status

Locks are handed over in order of arrival, at once. A lock whose owner was killed is free for the next one.

Exit codes: 0 done, 1 no or not in time, 2 error; 'lock run' exits as its program does.";

#[derive(Args)]
#[command(after_help = AFTER_HELP, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(disable_help_subcommand = true)]
pub(crate) struct Lock {
    #[command(subcommand)]
    verb: LockVerb,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum LockVerb {
    /// Take a lock that stays until it is freed
    Set(set::Set),
    /// Free a lock
    Free(free::Free),
    /// Wait until a lock is given back, without taking it
    Wait(wait::Wait),
    /// List locks and who holds them
    Status(status::Status),
    /// Run a program while holding a lock
    Run(run::Run),
}

impl Lock {
    pub(crate) fn runs_a_program(&self) -> bool {
        matches!(self.verb, LockVerb::Run(_))
    }

    pub(crate) fn run(self, context: &Context) -> Answer {
        match self.verb {
            LockVerb::Set(verb) => verb.run(context),
            LockVerb::Free(verb) => verb.run(context),
            LockVerb::Wait(verb) => verb.run(context),
            LockVerb::Status(verb) => verb.run(context),
            LockVerb::Run(verb) => verb.run(context),
        }
    }
}
