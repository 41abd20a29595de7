//! `lock set`: takes a lock that stays.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use shmsync::{Lock, Sync};

use crate::{
    context::Context,
    duration,
    failure::{Answer, Failure, Outcome},
    owner::{label, who_takes},
    turn::take,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync lock set deploy || exit 0                      somebody else is at it
  shmsync lock set deploy --wait --timeout 10m && ./deploy.sh; shmsync lock free deploy
  shmsync lock set pause --owner panel --ttl 2h          'lock free pause --owner panel' from anywhere

The lock stays until it is freed or its --ttl is over, whatever becomes of its owner. Its owner is the process that calls
this command (the shell), or the label of --owner, SHMSYNC_OWNER or the configuration. A second set by the same owner is
told no, too. When the owner has ended, the lock is orphaned, and anybody may free it; --die-with-owner frees it by itself.

It prints nothing, except the token with --print-token, and with --json {\"name\", \"obtained\", \"token\"}. Tokens only grow:
let what the lock protects refuse smaller ones. --retry is accepted and ignored: who waits is woken at once.

Exit codes: 0 obtained, 1 held by somebody else (with --wait: for all that time), 2 error.";

/// How long `--wait` waits when nobody says.
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Set {
    /// The lock: 1 to 255 bytes, no control characters
    name: String,
    /// Wait for it, at most 10 minutes or for --timeout, which implies it
    #[arg(long, short)]
    wait: bool,
    /// Free it after this time (500ms, 1.5s, 10, 2m, 1h)
    #[arg(long, value_name = "D", value_parser = duration::parse_limit, allow_negative_numbers = true)]
    ttl: Option<Duration>,
    /// Keep others out for at least this time, even if it is freed earlier
    #[arg(long, value_name = "D", value_parser = duration::parse_limit, allow_negative_numbers = true)]
    hold_at_least: Option<Duration>,
    /// Free it when its owner has ended
    #[arg(long)]
    die_with_owner: bool,
    /// Own it by this label instead of the calling process
    #[arg(long, value_name = "LABEL")]
    owner: Option<String>,
    /// Share it with all others who share it
    #[arg(long)]
    shared: bool,
    /// Print the token
    #[arg(long)]
    print_token: bool,
    #[arg(long, hide = true, num_args = 0..=1, value_name = "D")]
    retry: Option<Option<String>>,
}

impl Set {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.check(|store| self.lock(store, context))?;
        let is_label = label(self.owner.as_deref(), context).is_some();
        if is_label && self.die_with_owner {
            let message =
                format!("lock {:?}: an owner that is a label never ends; leave out --die-with-owner", self.name);
            return Err(Failure::Message(message));
        }
        let limit = match self.wait || context.globals.timeout.is_some() {
            true => context.timeout().unwrap_or(LIMIT),
            false => Duration::ZERO,
        };
        let lock = self.lock(&context.open()?, context)?;
        let Some(guard) = take(context, &lock, Some(limit))? else { return self.answer(context, None) };
        let token = guard.keep().to_string();
        self.answer(context, Some(token))
    }

    fn lock(&self, store: &Sync, context: &Context) -> Result<Lock, Failure> {
        let mut lock = store.lock(&self.name)?.on_behalf_of(&who_takes(self.owner.as_deref(), context)?);
        lock = match self.ttl.or(context.settings.ttl) {
            Some(ttl) => lock.ttl(ttl),
            None => lock.forever(),
        };
        if let Some(time) = self.hold_at_least {
            lock = lock.hold_at_least(time);
        }
        if self.die_with_owner {
            lock = lock.die_with_owner();
        }
        if self.shared {
            lock = lock.shared();
        }
        // A label that is the owner stays what it is.
        match (&context.settings.label, label(self.owner.as_deref(), context)) {
            (Some(label), None) => Ok(lock.label(label)),
            _ => Ok(lock),
        }
    }

    fn answer(&self, context: &Context, token: Option<String>) -> Answer {
        let name = &self.name;
        if let Some(token) = &token {
            context.say(|| format!("took lock {name:?}, token {token}"));
        }
        if context.json() {
            context.out.json(&json!({ "name": name, "obtained": token.is_some(), "token": token }))?;
        } else if let (Some(token), true) = (&token, self.print_token) {
            context.out.line(token)?;
        }
        Ok(Outcome::of(token.is_some()))
    }
}
