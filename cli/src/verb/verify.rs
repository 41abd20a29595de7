//! `verify`: looks at every byte.

use clap::Args;
use serde_json::json;

use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync verify
  shmsync verify --json | jq .problems

With --json: {\"records\", \"bytes\", \"problems\"}.

Exit codes: 0 all is well, 1 no such store, 2 problems (each on a line of standard output) or another error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Verify {}

impl Verify {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let store = context.open_present(false)?;
        let found = store.verify()?;
        if context.json() {
            let (records, bytes, problems) = (found.records, found.bytes, &found.problems);
            context.out.json(&json!({ "records": records, "bytes": bytes, "problems": problems }))?;
        } else {
            found.problems.iter().try_for_each(|problem| context.out.line(problem))?;
        }
        context.say(|| format!("looked at {} records, {} bytes", found.records, found.bytes));
        match found.problems.len() {
            0 => Ok(Outcome::Yes),
            count => Err(Failure::Message(format!(
                "store {:?} has {count} problem{}; dump what can be read, destroy it, and load it again",
                context.store_name(),
                if count == 1 { "" } else { "s" },
            ))),
        }
    }
}
