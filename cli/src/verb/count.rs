//! `incr` and `decr`: shared counters.

use clap::Args;
use serde_json::json;
use shmsync::Integer;

use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
};

const AFTER_INCR: &str = "\
Examples:
  shmsync incr done
  id=$(shmsync incr next-id)       every caller gets another number
  shmsync incr bytes 4096

A missing integer counts as 0. With --json: {\"key\", \"value\"}.

Exit codes: 0 added, 2 error (also: no integer, or it would overflow; nothing was changed).";

const AFTER_DECR: &str = "\
Examples:
  shmsync decr slots
  shmsync decr credit 10

A missing integer counts as 0. With --json: {\"key\", \"value\"}.

Exit codes: 0 subtracted, 2 error (also: no integer, or it would overflow; nothing was changed).";

#[derive(Args)]
#[command(after_help = AFTER_INCR)]
pub(crate) struct Incr {
    /// The key
    key: String,
    /// How much
    #[arg(default_value_t = 1, allow_negative_numbers = true, value_parser = whole_number)]
    by: i64,
}

#[derive(Args)]
#[command(after_help = AFTER_DECR)]
pub(crate) struct Decr {
    /// The key
    key: String,
    /// How much
    #[arg(default_value_t = 1, allow_negative_numbers = true, value_parser = whole_number)]
    by: i64,
}

impl Incr {
    pub(crate) fn run(self, context: &Context) -> Answer {
        count(context, &self.key, |integer| integer.increment(self.by))
    }
}

impl Decr {
    pub(crate) fn run(self, context: &Context) -> Answer {
        if self.by == i64::MIN {
            let (key, by) = (self.key, self.by);
            return Err(Failure::Message(format!(
                "integer {key:?}: {by} has no negative; give a smaller number twice"
            )));
        }
        count(context, &self.key, |integer| integer.decrement(self.by))
    }
}

fn whole_number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number of 64 bits; write one, as 5 or -3"))
}

fn count(context: &Context, key: &str, change: impl FnOnce(&Integer) -> shmsync::Result<i64>) -> Answer {
    context.check_keys([key])?;
    let value = change(&context.open_briefly()?.integer(key))?;
    if context.json() {
        context.out.json(&json!({ "key": key, "value": value }))?;
    } else {
        context.out.line(value.to_string())?;
    }
    Ok(Outcome::Yes)
}
