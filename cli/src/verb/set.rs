//! `set`: stores a value.

use std::{
    io::{Read, stdin},
    time::Duration,
};

use clap::Args;
use serde_json::json;
use shmsync::{Lifetime, Value};

use crate::{
    context::Context,
    duration,
    failure::{Answer, Failure, Outcome},
    json::parse_or_string,
};

const AFTER_HELP: &str = r#"Examples:
  shmsync set workers 4                          a number
  shmsync set --string zip 01234                 a string, whatever it looks like
  shmsync set config '{"debug": true}' --ttl 10m
  date | shmsync set started -                   from standard input, without its last newline
  shmsync set key '{"$bytes": "AAEC"}'           bytes, in base64; {"$f64": "nan"} is a NaN

Exit codes: 0 stored, 2 error."#;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Set {
    /// The key: 1 to 65,536 bytes
    key: String,
    /// JSON if it parses, else a string; - = standard input
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Remove it after this time (500ms, 1.5s, 10, 2m, 1h)
    #[arg(long, value_name = "D", value_parser = duration::parse_lasting, allow_negative_numbers = true)]
    ttl: Option<Duration>,
    /// Store VALUE as a string even if it is JSON
    #[arg(long)]
    string: bool,
}

impl Set {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.check_keys([&*self.key])?;
        let text = if self.value == "-" { read_stdin(&self.key)? } else { self.value };
        let value = if self.string {
            Value::from(text)
        } else {
            parse_or_string(&text).map_err(|error| format!("key {:?}: {error}", self.key))?
        };
        let lifetime = self.ttl.or(context.settings.ttl).map_or(Lifetime::Forever, Lifetime::Ttl);
        let revision = context.open_briefly()?.set_with(&self.key, &value, lifetime)?;
        context.say(|| format!("stored key {:?} in store {:?}, revision {revision}", self.key, context.store_name()));
        if context.json() {
            context.out.json(&json!({ "key": self.key, "revision": revision.to_string() }))?;
        }
        Ok(Outcome::Yes)
    }
}

fn read_stdin(key: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| format!("key {key:?}: cannot read standard input: {error}; check what it comes from"))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| {
        let next = r#"store bytes as {"$bytes": "base64"}"#;
        Failure::Message(format!("key {key:?}: standard input is not UTF-8; {next}"))
    })
}
