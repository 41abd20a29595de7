//! `man`: manual pages.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};

use crate::{
    args::Cli,
    context::Context,
    failure::{Answer, Failure, Outcome},
};

const AFTER_HELP: &str = "\
Example:
  shmsync man ~/.local/share/man/man1 && man shmsync-watch

Exit codes: 0 written, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Man {
    /// The folder; created where there is none
    dir: PathBuf,
}

impl Man {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let fail = |error| Failure::file("write manual pages into", &self.dir, &error);
        fs::create_dir_all(&self.dir).map_err(fail)?;
        clap_mangen::generate_to(Cli::command(), &self.dir).map_err(fail)?;
        context.say(|| format!("wrote manual pages into {}", self.dir.display()));
        Ok(Outcome::Yes)
    }
}
