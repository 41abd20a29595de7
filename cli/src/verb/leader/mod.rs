//! `leader`: one of many does it. One file for each of its verbs.

mod follow;
mod run;
mod status;

use clap::{Args, Subcommand};

use crate::{context::Context, failure::Answer};

const AFTER_HELP: &str = "\
Examples:
  shmsync leader run scheduler -- ./scheduler            on every instance: one runs, the others stand by
  shmsync leader status
  shmsync leader follow scheduler

Groups do not know each other.

Exit codes: 0 done, 1 no or not in time, 2 error; 'leader run' exits as its program does.";

#[derive(Args)]
#[command(after_help = AFTER_HELP, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(disable_help_subcommand = true)]
pub(crate) struct Leader {
    #[command(subcommand)]
    verb: LeaderVerb,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum LeaderVerb {
    /// Run a program while leading a group
    Run(run::Run),
    /// List groups and who leads them
    Status(status::Status),
    /// Print who leads a group, as it changes
    Follow(follow::Follow),
}

impl Leader {
    pub(crate) fn runs_a_program(&self) -> bool {
        matches!(self.verb, LeaderVerb::Run(_))
    }

    pub(crate) fn run(self, context: &Context) -> Answer {
        match self.verb {
            LeaderVerb::Run(verb) => verb.run(context),
            LeaderVerb::Status(verb) => verb.run(context),
            LeaderVerb::Follow(verb) => verb.run(context),
        }
    }
}
