//! `get`: prints a value.

use clap::Args;
use serde_json::json;
use shmsync::Value;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
    json::{parse_or_string, to_json},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync get workers
  shmsync get workers --default 4
  if name=$(shmsync get name); then echo \"$name\"; fi

Strings print as they are, all else as JSON. With --json: {\"key\", \"value\", \"revision\"}.

Exit codes: 0 printed, 1 absent (and no --default), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Get {
    /// The key
    key: String,
    /// What to print when it is absent: JSON if it parses, else a string
    #[arg(long, value_name = "V", allow_negative_numbers = true)]
    default: Option<String>,
}

impl Get {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let key = &self.key;
        let found = context.open_to_read()?.get_versioned::<Value>(key)?;
        let (value, revision) = match (found, self.default) {
            (Some((value, revision)), _) => (value, Some(revision.to_string())),
            (None, Some(default)) => {
                (parse_or_string(&default).map_err(|error| format!("--default for key {key:?}: {error}"))?, None)
            }
            (None, None) => {
                context.say(|| format!("key {key:?} is absent in store {:?}", context.store_name()));
                return Ok(Outcome::No);
            }
        };
        if context.json() {
            context.out.json(&json!({ "key": key, "value": to_json(&value), "revision": revision }))?;
        } else {
            context.out.value(&value)?;
        }
        Ok(Outcome::Yes)
    }
}
