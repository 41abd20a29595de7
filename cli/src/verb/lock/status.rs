//! `lock status`: who holds what.

use clap::Args;
use serde_json::{Value as Json, json};
use shmsync::{LockInfo, LockKind};

use crate::{
    context::Context,
    failure::Answer,
    holding::{Holding, Listing},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync lock status
  shmsync lock status deploy --json | jq -r '.[].owner.pid'

With --json: an array of {\"name\", \"state\", \"owner\", \"token\", \"since\", \"age_s\", \"lifetime\", \"expires_in_s\", \"waiters\"}.
state: held, orphaned (its owner has ended without giving it back) or free (others wait for it). owner: {\"pid\", \"host\",
\"label\", \"command\"} or null; its pid is null where the owner is a label. token: a string, for it needs more than 53 bits.
since: UTC, as in 2026-11-21T13:44:31Z. lifetime: process, ttl or forever. waiters: how many wait.
Locks that are shared and semaphores have an element, or line, for each holder. What is just free is not listed.

Exit codes: 0 listed (also when there is none), 2 error.";

const LISTING: Listing = Listing { nothing: "nothing is locked", heading: &["NAME", "STATE", "WAITERS"], row, json };

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Status {
    /// Only this lock
    name: Option<String>,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let mut locks = context.open_to_read()?.locks(self.name.as_deref().unwrap_or(""))?;
        locks.retain(|lock| lock.kind != LockKind::Leader && self.name.as_ref().is_none_or(|name| *name == lock.name));
        locks.sort_by(|one, other| one.name.cmp(&other.name));
        LISTING.show(&locks, context)
    }
}

fn json(holding: &Holding<'_>) -> Json {
    holding.json(json!({ "name": holding.lock.name }), "waiters")
}

fn row(holding: &Holding<'_>) -> Vec<String> {
    let LockInfo { name, waiters, .. } = holding.lock;
    vec![name.clone(), holding.state().to_owned(), waiters.len().to_string()]
}
