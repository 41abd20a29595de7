//! `destroy`: removes a store.

use clap::Args;
use serde_json::json;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Example:
  shmsync --store ./jobs.shm destroy

Only what is a store is removed, damaged or not. Whoever still uses it gets the error Gone. It does not ask.
With --json: {\"destroyed\"}.

Exit codes: 0 removed, 1 no such store, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Destroy {}

impl Destroy {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.destroy()?;
        context.say(|| format!("removed store {:?}", context.store_name()));
        if context.json() {
            context.out.json(&json!({ "destroyed": context.store_name() }))?;
        }
        Ok(Outcome::Yes)
    }
}
