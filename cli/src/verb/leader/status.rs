//! `leader status`: who leads what.

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
  shmsync leader status
  shmsync leader status scheduler --json | jq -r '.[].id'

With --json: an array of {\"group\", \"id\", \"state\", \"owner\", \"token\", \"since\", \"age_s\", \"lifetime\", \"expires_in_s\",
\"candidates\"}. id: what the leader calls itself, or null; candidates: how many wait to lead. The rest is as in
'shmsync lock status --help'.

Exit codes: 0 listed (also when nobody leads), 2 error.";

const LISTING: Listing =
    Listing { nothing: "nobody leads", heading: &["GROUP", "ID", "STATE", "CANDIDATES"], row, json };

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Status {
    /// Only this group
    group: Option<String>,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let mut groups = context.open_to_read()?.locks(self.group.as_deref().unwrap_or(""))?;
        groups.retain(|one| one.kind == LockKind::Leader && self.group.as_ref().is_none_or(|name| *name == one.name));
        LISTING.show(&groups, context)
    }
}

fn json(holding: &Holding<'_>) -> Json {
    let id = holding.owner.map(|owner| &owner.candidate);
    holding.json(json!({ "group": holding.lock.name, "id": id }), "candidates")
}

fn row(holding: &Holding<'_>) -> Vec<String> {
    let LockInfo { name, waiters, .. } = holding.lock;
    let id = holding.owner.map(|owner| owner.candidate.clone()).unwrap_or_default();
    vec![name.clone(), id, holding.state().to_owned(), waiters.len().to_string()]
}
