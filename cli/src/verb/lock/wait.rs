//! `lock wait`: waits for the end of a holding, and takes nothing.

use clap::Args;
use serde_json::json;
use shmsync::LockState;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
    output::complain,
};

const AFTER_HELP: &str = "\
Examples:
  while job=$(next_job); do shmsync lock wait pause; work \"$job\"; done
  shmsync lock wait deploy --timeout 10m || echo 'still deploying'

It returns when whoever holds the lock now no longer does, even if somebody else has it by then; at once when it is free.
Without --timeout it waits as long as it takes. With --json: {\"name\", \"ended\"}.

Exit codes: 0 it has ended or was free, 1 the time was up, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Wait {
    /// The lock
    name: String,
}

impl Wait {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.check(|store| store.lock(&self.name))?;
        let ended = match context.open_existing()? {
            None => true,
            Some(store) => {
                let lock = store.lock(&self.name)?;
                let ended = match context.timeout() {
                    None => lock.wait().map(|()| true)?,
                    Some(limit) => lock.wait_timeout(limit)?,
                };
                if !ended && context.timeout().is_some_and(|limit| !limit.is_zero()) {
                    match lock.state()? {
                        LockState::Free => complain(&format!("lock {:?}: free just now", self.name)),
                        state => complain(&format!("lock {:?}: still {state}", self.name)),
                    }
                }
                ended
            }
        };
        if context.json() {
            context.out.json(&json!({ "name": self.name, "ended": ended }))?;
        }
        Ok(Outcome::of(ended))
    }
}
