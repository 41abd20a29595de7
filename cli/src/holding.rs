//! Who holds a lock, as lines of a table and as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shmsync::{Lifetime, LockInfo, Owner};

use crate::{
    context::Context,
    duration::spoken,
    failure::{Answer, Outcome},
    moment::utc,
    output::table,
};

/// One who holds a lock; or nobody, where there are only those who wait.
pub(crate) struct Holding<'a> {
    pub(crate) lock: &'a LockInfo,
    pub(crate) owner: Option<&'a Owner>,
}

/// How holdings are listed, on a terminal and as JSON.
pub(crate) struct Listing {
    /// What is said where there is none.
    pub(crate) nothing: &'static str,
    /// Headings of `row`.
    pub(crate) heading: &'static [&'static str],
    /// The cells before those that all listings have.
    pub(crate) row: fn(&Holding<'_>) -> Vec<String>,
    pub(crate) json: fn(&Holding<'_>) -> Json,
}

impl Listing {
    pub(crate) fn show(&self, locks: &[LockInfo], context: &Context) -> Answer {
        let holdings = holdings(locks);
        if context.json() {
            context.out.json(&holdings.iter().map(self.json).collect())?;
            return Ok(Outcome::Yes);
        }
        if holdings.is_empty() {
            context.say(|| format!("{} in store {:?}", self.nothing, context.store_name()));
            return Ok(Outcome::Yes);
        }
        let row = |holding: &Holding<'_>| [(self.row)(holding), holding.cells()].concat();
        let rows: Vec<Vec<String>> = holdings.iter().map(row).collect();
        let heading = [self.heading, &COLUMNS].concat();
        table(&heading, &rows).iter().try_for_each(|line| context.out.line(line))?;
        Ok(Outcome::Yes)
    }
}

/// A holding each; a lock that is shared has several.
fn holdings(locks: &[LockInfo]) -> Vec<Holding<'_>> {
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

    /// An object with what all listings have, and how many wait, under that name.
    pub(crate) fn json(&self, mut object: Json, waiters: &str) -> Json {
        let owner = self.owner;
        object["state"] = self.state().into();
        object["owner"] = owner.map(owner_json).into();
        object["token"] = owner.map(|owner| owner.token.to_string()).into();
        object["since"] = owner.map(|owner| utc(owner.since)).into();
        object["age_s"] = owner.map(|owner| seconds(owner.age())).into();
        object["lifetime"] = owner.map(|owner| lifetime(owner.lifetime)).into();
        object["expires_in_s"] = owner.and_then(|owner| owner.expires_in).map(seconds).into();
        object[waiters] = self.lock.waiters.len().into();
        object
    }

    /// The cells that tables of locks and of leaders have in common; [`COLUMNS`].
    fn cells(&self) -> Vec<String> {
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
const COLUMNS: [&str; 7] = ["PID", "HOST", "LABEL", "SINCE", "AGE", "LIFETIME", "COMMAND"];

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
