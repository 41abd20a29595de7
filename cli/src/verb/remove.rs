//! `remove`: removes keys.

use clap::Args;
use serde_json::json;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync remove old
  shmsync keys tmp/ -0 | xargs -0 shmsync remove

With --json: {\"removed\": […], \"absent\": […]}.

Exit codes: 0 all removed, 1 at least one was absent (the others are removed), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Remove {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

impl Remove {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let (mut removed, mut absent) = (Vec::new(), Vec::new());
        match context.open_existing()? {
            Some(store) => {
                for key in self.keys {
                    if store.remove(&key)? { removed.push(key) } else { absent.push(key) }
                }
            }
            None => absent = self.keys,
        }
        for key in &absent {
            context.say(|| format!("key {key:?} was absent in store {:?}", context.store_name()));
        }
        let outcome = Outcome::of(absent.is_empty());
        if context.json() {
            context.out.json(&json!({ "removed": removed, "absent": absent }))?;
        }
        Ok(outcome)
    }
}
