//! `keys`: lists keys.

use clap::Args;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync keys
  shmsync keys job/ | wc -l
  shmsync keys -0 | xargs -0 -n1 shmsync get      for keys with newlines

With --json: an array of strings.

Exit codes: 0 listed (also when there is none), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Keys {
    /// Only keys that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// End each key with a zero byte instead of a newline
    #[arg(short = '0', long = "null")]
    null: bool,
}

impl Keys {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let mut keys = context.open_to_read()?.keys(&self.prefix)?;
        if context.json() {
            context.out.json(&keys.collect::<Vec<String>>().into())?;
            return Ok(Outcome::Yes);
        }
        let end: &[u8] = if self.null { b"\0" } else { b"\n" };
        keys.try_for_each(|key| {
            context.out.raw(key.as_bytes())?;
            context.out.raw(end)
        })?;
        Ok(Outcome::Yes)
    }
}
