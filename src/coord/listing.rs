//! Every lock of a store, for people and monitors.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    owner::{LockState, Owner, Seen, Spoken, moment, write_who},
    place::{LockKind, Place},
    queue::Waiting,
    record::Record,
};
use crate::{
    Sync,
    driver::{Access, Driver, Range, Space},
    error::Result,
};

/// A lock that somebody holds, has left, or waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockInfo {
    /// What it is.
    pub kind: LockKind,
    /// Its name.
    pub name: String,
    /// How many may hold it at once; 1 except for semaphores.
    pub permits: u32,
    /// Whether it is held.
    pub state: LockState,
    /// Everybody who holds it, or has left it by dying.
    pub owners: Vec<Owner>,
    /// Everybody who waits, in order.
    pub waiters: Vec<Waiter>,
}

/// Who waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// Its process id, in its own PID namespace.
    pub pid: u32,
    /// Its host's name.
    pub host: String,
    /// Its label.
    pub label: String,
    /// Its command.
    pub command: String,
    /// Since when it waits, by the clock of its machine.
    pub since: SystemTime,
    /// Whether it wants to share.
    pub shared: bool,
    /// What it calls itself where it stands for election; else empty.
    pub candidate: String,
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_who(f, self.pid, [&self.label, &self.command], &self.host)?;
        let waited = SystemTime::now().duration_since(self.since).unwrap_or(Duration::ZERO);
        write!(f, " for {}", Spoken(waited))
    }
}

impl Sync {
    /// Every lock, semaphore and group below this handle whose name begins with `prefix` and that is not just free and
    /// forgotten: who holds it, since when, and who waits. By kind and name; each as of a moment of its own.
    ///
    /// It walks over all that coordination keeps: for people and monitors, not for deciding.
    ///
    /// # Errors
    /// `Gone`; `Invalid` for a bad namespace. What is damaged is left out; [`Lock::state`](super::Lock::state) tells of it.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// let guard = store.lock("deploy")?.label("nightly").acquire()?;
    /// let locks = store.locks("")?;
    /// assert_eq!((locks.len(), locks[0].name.as_str()), (1, "deploy"));
    /// assert_eq!((locks[0].owners[0].label.as_str(), locks[0].owners[0].token), ("nightly", guard.token()));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "list_locks")]
    #[doc(alias = "status")]
    pub fn locks(&self, prefix: &str) -> Result<Vec<LockInfo>> {
        let mut all = Vec::new();
        for kind in LockKind::ALL {
            let records = self.coordination_key(kind.word(), prefix)?;
            let mut waiters = self.waiters(&format!("queue/{records}"))?;
            let range = Range { values: true, ..Range::keys(Space::Coordination, &records) };
            for entry in self.driver.range(&Access::default(), range)? {
                let Some(record) = Record::decode(&entry.value, entry.head.revision.get()) else { continue };
                let whole = entry.key.strip_prefix(kind.word()).and_then(|key| key.strip_prefix('/'));
                let name = self.own_name(whole.unwrap_or(&entry.key)).to_owned();
                let place = Place { store: self.clone(), kind, name, key: entry.key, permits: record.permits };
                let waiters = waiters.remove(&place.key).unwrap_or_default();
                all.extend(place.info(&record, waiters)?);
            }
        }
        Ok(all)
    }

    /// Everybody who waits, by the key of what is waited for.
    fn waiters(&self, prefix: &str) -> Result<BTreeMap<String, Vec<Waiter>>> {
        let range = Range { values: true, ..Range::keys(Space::Coordination, prefix) };
        let mut waiters: BTreeMap<String, Vec<(u64, Waiter)>> = BTreeMap::new();
        for entry in self.driver.range(&Access::default(), range)? {
            let Some((key, ticket)) = entry.key.rsplit_once('/') else { continue };
            let Ok(ticket) = u64::from_str_radix(ticket, 16) else { continue };
            let Some(waiting) = Waiting::decode(&entry.value) else { continue };
            let key = key.strip_prefix("queue/").unwrap_or(key).to_owned();
            waiters.entry(key).or_default().push((ticket, waiting.into()));
        }
        let sorted = |mut queue: Vec<(u64, Waiter)>| {
            queue.sort_by_key(|(ticket, _)| *ticket);
            queue.into_iter().map(|(_, waiter)| waiter).collect()
        };
        Ok(waiters.into_iter().map(|(key, queue)| (key, sorted(queue))).collect())
    }
}

impl From<Waiting> for Waiter {
    fn from(waiting: Waiting) -> Self {
        let Waiting { since, shared, candidate, who } = waiting;
        let process = who.process;
        Self {
            pid: process.pid,
            host: process.host,
            label: who.label,
            command: process.command,
            since: moment(since),
            shared,
            candidate,
        }
    }
}

impl Place {
    fn info(&self, record: &Record, waiters: Vec<Waiter>) -> Result<Option<LockInfo>> {
        let mut owners = Vec::new();
        for holding in &record.holdings {
            if self.seen(holding)?.0 != Seen::Over {
                owners.push(self.owner_of(holding)?);
            }
        }
        if owners.is_empty() && waiters.is_empty() {
            return Ok(None);
        }
        let state = self.state()?;
        Ok(Some(LockInfo { kind: self.kind, name: self.name.clone(), permits: self.permits, state, owners, waiters }))
    }
}
