//! `leader status`: who leads what.

use clap::Args;
use serde_json::{Value as Json, json};
use shmsync::{LockInfo, LockKind};

use crate::{
    context::Context,
    failure::{Answer, Outcome},
    holding::{COLUMNS, Holding, holdings},
    output::table,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync leader status
  shmsync leader status scheduler --json | jq -r '.[].id'

With --json: an array of {\"group\", \"id\", \"state\", \"owner\", \"token\", \"since\", \"age_s\", \"lifetime\", \"expires_in_s\",
\"candidates\"}. id: what the leader calls itself, or null; candidates: how many wait to lead. The rest is as in
'shmsync lock status --help'.

Exit codes: 0 listed (also when nobody leads), 2 error.";

/// List groups and who leads them
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
        let holdings = holdings(&groups);
        if context.json() {
            context.out.json(&holdings.iter().map(json).collect())?;
            return Ok(Outcome::Yes);
        }
        if holdings.is_empty() {
            context.say(|| format!("nobody leads in store {:?}", context.store_name()));
            return Ok(Outcome::Yes);
        }
        let rows: Vec<Vec<String>> = holdings.iter().map(row).collect();
        let heading = [&["GROUP", "ID", "STATE", "CANDIDATES"][..], &COLUMNS].concat();
        table(&heading, &rows).iter().try_for_each(|line| context.out.line(line))?;
        Ok(Outcome::Yes)
    }
}

fn json(holding: &Holding<'_>) -> Json {
    let id = holding.owner.map(|owner| &owner.candidate);
    let mut json = json!({ "group": holding.lock.name, "id": id });
    if let (Json::Object(whole), Json::Object(rest)) = (&mut json, holding.json()) {
        whole.extend(rest);
        whole.insert("candidates".to_owned(), holding.lock.waiters.len().into());
    }
    json
}

fn row(holding: &Holding<'_>) -> Vec<String> {
    let LockInfo { name, waiters, .. } = holding.lock;
    let id = holding.owner.map(|owner| owner.candidate.clone()).unwrap_or_default();
    let mut row = vec![name.clone(), id, holding.state().to_owned(), waiters.len().to_string()];
    row.extend(holding.cells());
    row
}
