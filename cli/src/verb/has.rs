//! `has`: tells whether a key is there.

use clap::Args;
use serde_json::json;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Example:
  shmsync has ready && echo go

A key that holds null counts as absent; 0, \"\", false and empty lists count as present. With --json: {\"key\", \"has\"}.

Exit codes: 0 present, 1 absent or null, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Has {
    /// The key
    key: String,
}

impl Has {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let has = context.open_to_read()?.contains(&self.key)?;
        context.say(|| format!("key {:?} is {}", self.key, if has { "there" } else { "absent or null" }));
        if context.json() {
            context.out.json(&json!({ "key": self.key, "has": has }))?;
        }
        Ok(Outcome::of(has))
    }
}
