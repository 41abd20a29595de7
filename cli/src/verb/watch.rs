//! `watch`: tells of changes.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};

use clap::Args;
use serde_json::json;
use shmsync::{Change, ChangeKind, Removed, Watch as Changes};

use crate::{
    context::Context,
    failure::{Answer, Outcome},
    json::to_json,
    output::end_with_the_reader,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync watch state
  shmsync --store demo watch --prefix progress
  shmsync watch ready --once --timeout 30s || echo 'not ready in time'
  shmsync watch --prefix job/ | while read -r change; do …; done

A line of JSON per change: {\"key\", \"kind\": \"set\", \"value\", \"revision\", \"initial\"} or {\"key\", \"kind\": \"removed\",
\"reason\": \"deleted\" | \"expired\" | \"owner_died\", \"revision\", \"initial\"}. First comes what is there, marked
\"initial\": true; changes that follow each other fast are told as the last of them.

Exit codes: 0 a change came (--once), 1 the time was up (--timeout), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Watch {
    /// Keys to follow
    #[arg(value_name = "KEY", required_unless_present = "prefix")]
    keys: Vec<String>,
    /// Follow all keys that begin so; may be given several times
    #[arg(long, value_name = "P")]
    prefix: Vec<String>,
    /// End after the first change; what is there already is none
    #[arg(long)]
    once: bool,
}

type News = Option<shmsync::Result<Change>>;

impl Watch {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let end = context.timeout().and_then(|limit| Instant::now().checked_add(limit));
        context.check_keys(self.keys.iter().map(String::as_str))?;
        let store = context.open()?;
        let mut sources = Vec::new();
        if !self.keys.is_empty() {
            let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
            sources.push(store.watch_keys(&keys)?);
        }
        for prefix in &self.prefix {
            sources.push(store.watch_prefix(prefix)?);
        }
        let news = gather(sources);
        end_with_the_reader();
        loop {
            match next(&news, end) {
                Ok(Some(change)) => {
                    let change = change?;
                    context.out.json(&json(&change))?;
                    context.out.flush()?;
                    if self.once && !change.initial {
                        return Ok(Outcome::Yes);
                    }
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::Yes),
                Err(RecvTimeoutError::Timeout) => {
                    context.say(|| "time is up".into());
                    return Ok(Outcome::No);
                }
            }
        }
    }
}

fn next(news: &Receiver<News>, end: Option<Instant>) -> Result<News, RecvTimeoutError> {
    match end {
        Some(end) => news.recv_timeout(end.saturating_duration_since(Instant::now())),
        None => news.recv().map_err(RecvTimeoutError::from),
    }
}

/// Changes of all sources, in the order in which they come; a thread follows each source.
fn gather(sources: Vec<Changes>) -> Receiver<News> {
    // Bounded: a slow reader must not make this process grow, and the source coalesces meanwhile.
    let (sender, receiver) = mpsc::sync_channel(16);
    for mut source in sources {
        let sender = sender.clone();
        thread::spawn(move || {
            loop {
                let change = source.next();
                let last = !matches!(change, Some(Ok(_)));
                if sender.send(change).is_err() || last {
                    return;
                }
            }
        });
    }
    receiver
}

fn json(change: &Change) -> serde_json::Value {
    let Change { key, revision, kind, initial } = change;
    let revision = revision.to_string();
    match kind {
        ChangeKind::Set(value) => {
            json!({ "key": key, "kind": "set", "value": to_json(value), "revision": revision, "initial": initial })
        }
        ChangeKind::Removed(reason) => {
            let reason = match reason {
                Removed::Deleted => "deleted",
                Removed::Expired => "expired",
                Removed::OwnerDied => "owner_died",
            };
            json!({ "key": key, "kind": "removed", "reason": reason, "revision": revision, "initial": initial })
        }
    }
}
