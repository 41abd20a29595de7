//! Who holds a lock, as lines of a table and as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shmsync::{Lifetime, LockInfo, Owner};

use crate::{duration::spoken, moment::utc};

/// One who holds a lock; or nobody, where there are only those who wait.
pub(crate) struct Holding<'a> {
    pub(crate) lock: &'a LockInfo,
    pub(crate) owner: Option<&'a Owner>,
}

/// A holding each; a lock that is shared has several.
pub(crate) fn holdings(locks: &[LockInfo]) -> Vec<Holding<'_>> {
    locks.iter().flat_map(holdings_of).collect()
}

fn holdings_of(lock: &LockInfo) -> Vec<Holding<'_>> {
    if lock.owners.is_empty() {
        return vec![Holding { lock, owner: None }];
    }
    lock.owners.iter().map(|owner| Holding { lock, owner: Some(owner) }).collect()
}

impl Holding<'_> {
    /// `held`, `orphaned` or `free`.
    pub(crate) fn state(&self) -> &'static str {
        match self.owner {
            None => "free",
            Some(owner) if owner.is_gone => "orphaned",
            Some(_) => "held",
        }
    }

    /// What `lock status --json` and `leader status --json` have in common.
    pub(crate) fn json(&self) -> Json {
        let owner = self.owner;
        json!({
            "state": self.state(),
            "owner": owner.map(owner_json),
            "token": owner.map(|owner| owner.token.to_string()),
            "since": owner.map(|owner| utc(owner.since)),
            "age_s": owner.map(|owner| seconds(owner.age())),
            "lifetime": owner.map(|owner| lifetime(owner.lifetime)),
            "expires_in_s": owner.and_then(|owner| owner.expires_in).map(seconds),
        })
    }

    /// The cells that tables of locks and of leaders have in common; [`COLUMNS`].
    pub(crate) fn cells(&self) -> Vec<String> {
        let Some(owner) = self.owner else { return vec![String::new(); COLUMNS.len()] };
        let left = owner.expires_in.map(|left| format!(", {} left", spoken(left)));
        vec![
            if owner.pid == 0 { String::new() } else { owner.pid.to_string() },
            owner.host.clone(),
            owner.label.clone(),
            utc(owner.since),
            spoken(owner.age()),
            lifetime(owner.lifetime).to_owned() + &left.unwrap_or_default(),
            owner.command.clone(),
        ]
    }
}

/// Headings of [`Holding::cells`].
pub(crate) const COLUMNS: [&str; 7] = ["PID", "HOST", "LABEL", "SINCE", "AGE", "LIFETIME", "COMMAND"];

pub(crate) fn owner_json(owner: &Owner) -> Json {
    let Owner { pid, host, label, command, .. } = owner;
    json!({ "pid": (*pid != 0).then_some(pid), "host": host, "label": label, "command": command })
}

/// Seconds for JSON, to the millisecond.
pub(crate) fn seconds(time: Duration) -> f64 {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

fn lifetime(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::Process => "process",
        Lifetime::Ttl(_) => "ttl",
        _ => "forever",
    }
}
