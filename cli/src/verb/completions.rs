//! `completions`: a script for the shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    args::Cli,
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  source <(shmsync completions bash)
  shmsync completions fish > ~/.config/fish/completions/shmsync.fish

Exit codes: 0 printed, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "shmsync", &mut script);
        context.out.raw(&script)?;
        Ok(Outcome::Yes)
    }
}
