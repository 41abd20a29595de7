//! `copy`: moves values from one store into another, whatever drivers they have.

use std::{collections::BTreeMap, ffi::OsString};

use clap::Args;
use serde_json::json;
use shmsync::{EncodedEntry, ErrorKind, Lifetime, LockState, Sync, driver::without_password};

use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
    output::complain,
    steps::{Change, make},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync copy progress etcd://10.0.0.1:2379/progress          one machine is not enough any more
  shmsync copy etcd://10.0.0.1:2379/progress progress          and back
  shmsync copy old new --prefix job/

What TO has below the prefix is replaced by what FROM has there at one moment: all of it at once, or nothing. Where that is
more than TO takes at once (a cluster: 1.5 MB), it is copied in steps, and the command says so; when it is
interrupted, the same command goes on where it stopped. Stop whoever writes first: nobody is told to go on with TO.

Types stay, and what is left of each --ttl. Locks, leaders, and entries that end with a process do not move, because those
who have them are with FROM: how many there are is told. With --json: {\"copied\", \"removed\", \"at_once\", \"left\"}.

Exit codes: 0 copied, 1 there is no store FROM, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Copy {
    /// The store to read, as --store names one
    from: OsString,
    /// The store to change
    to: OsString,
    /// Only keys that begin so
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
}

/// What became of it.
struct Copied {
    /// Entries that are now as in FROM, changed or not.
    entries: usize,
    /// Keys that only TO had; `None` = all was replaced at once.
    removed: Option<usize>,
}

impl Copy {
    pub(crate) fn run(self, context: &Context) -> Answer {
        if context.globals.store.is_some() {
            return Err(Failure::Message("the stores to copy are FROM and TO: leave out --store".into()));
        }
        let [shown_from, shown_to] = [&self.from, &self.to].map(|name| without_password(&name.to_string_lossy()));
        if self.from == self.to {
            let message = format!("FROM and TO are both {shown_from:?}: nothing to copy; name two stores");
            return Err(Failure::Message(message));
        }
        let from = context.open_source(&self.from)?;
        let mut entries = from.read_all_encoded(&self.prefix)?;
        let left = what_stays(&from, &mut entries)?;
        let to = context.open_target(&self.to)?;
        let copied = self.replace(&to, &entries)?;
        if !left.is_empty() {
            complain(&format!("not copied, because they are of those who use {shown_from:?}: {}", left.join(", ")));
        }
        context.say(|| format!("copied {} entries from {shown_from:?} to {shown_to:?}", copied.entries));
        if context.json() {
            let (removed, at_once) = (copied.removed, copied.removed.is_none());
            let answer = json!({ "copied": copied.entries, "removed": removed, "at_once": at_once, "left": left });
            context.out.json(&answer)?;
        }
        Ok(Outcome::Yes)
    }

    fn replace(&self, to: &Sync, entries: &[EncodedEntry]) -> Result<Copied, Failure> {
        let removed = match to.replace_all_encoded(&self.prefix, entries) {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                complain(&format!("{} entries are copied in steps, because {error}", entries.len()));
                Some(self.replace_in_steps(to, entries)?)
            }
            result => result.map(|()| None)?,
        };
        Ok(Copied { entries: entries.len(), removed })
    }

    /// Changes only what differs, so that whoever is interrupted goes on. How many keys were removed.
    fn replace_in_steps(&self, to: &Sync, entries: &[EncodedEntry]) -> Result<usize, Failure> {
        let there = to.read_all_encoded(&self.prefix)?;
        let mut there: BTreeMap<String, EncodedEntry> =
            there.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let mut changes = Vec::new();
        for entry in entries {
            if there.remove(&entry.key).as_ref() != Some(entry) {
                changes.push(Change::put(entry)?);
            }
        }
        let removed = there.len();
        changes.extend(there.into_keys().map(Change::Remove));
        let next = "what was copied stays; mend that, then start this again: it goes on where it stopped";
        make(to, &changes).map_err(|error| format!("{error}; {next}"))?;
        Ok(removed)
    }
}

/// Takes out what cannot move; in words, what that is.
fn what_stays(from: &Sync, entries: &mut Vec<EncodedEntry>) -> Result<Vec<String>, Failure> {
    let all = entries.len();
    entries.retain(|entry| entry.lifetime != Lifetime::Process);
    let held = from.locks("")?.iter().filter(|lock| !matches!(lock.state, LockState::Free)).count();
    let left = [(all - entries.len(), "entries that end with their process"), (held, "locks and leaders")];
    Ok(left.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect())
}
