//! Where a store keeps a lock: its record, read and changed as a whole.

use std::{fmt, time::Duration};

use super::record::{HoldingId, Record};
use crate::{
    Sync,
    broken::{self, Defect},
    driver::{Access, Commit, Driver, Expected, Lifetime, Op, Revision, Space},
    error::{Error, ErrorKind, Result},
    store::is_plain,
};

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockKind {
    /// A lock, see [`Sync::lock`].
    Lock,
    /// A semaphore, see [`Sync::semaphore`].
    Semaphore,
    /// A group that has a leader, see [`Sync::leader`].
    Leader,
}

impl LockKind {
    pub(super) const ALL: [Self; 3] = [Self::Lock, Self::Semaphore, Self::Leader];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Leader => "leader",
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A record outlives the last life in it by that much, so that it never ends before what it tells of.
const SLACK: Duration = Duration::from_secs(60);

/// A lock, semaphore or group of a store.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Sync,
    pub(super) kind: LockKind,
    /// As the user says it.
    pub(super) name: String,
    /// Of the record.
    pub(super) key: String,
    pub(super) permits: u32,
}

/// Entries, each with the revision under which it was there when looked at.
pub(super) type Entries = Vec<(String, Option<Revision>)>;

/// The lifetime of a record that tells of nothing but a life that ends in that time.
pub(super) fn beyond(life: Duration) -> Lifetime {
    Lifetime::Ttl(life.saturating_add(SLACK))
}

/// The record as it was at one moment; an absent one is free.
pub(super) struct Look {
    pub(super) record: Record,
    pub(super) revision: Option<Revision>,
}

/// A commit that is being put together: keys and values that it refers to.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) expect: Vec<(String, Expected)>,
    pub(super) puts: Vec<(String, Vec<u8>, Lifetime)>,
    pub(super) deletes: Vec<String>,
    /// How long the record stays unless somebody waits: what nobody asks for again is not kept for ever.
    pub(super) record: Lifetime,
}

impl Place {
    /// # Errors
    /// `Invalid` for a name that cannot be one.
    pub(super) fn new(store: &Sync, kind: LockKind, name: &str, permits: u32) -> Result<Self> {
        if !is_plain(name) {
            let start: String = name.chars().take(40).collect();
            let message = format!("{kind} {start:?}: give it a name of 1 to 255 bytes without control characters");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let key = store.coordination_key(kind.word(), name)?;
        Ok(Self { store: store.clone(), kind, name: name.to_owned(), key, permits })
    }

    /// The entry of a waiter.
    pub(super) fn ticket_key(&self, ticket: u64) -> String {
        format!("queue/{}/{ticket:x}", self.key)
    }

    /// The entry that lasts as long as the time limit of a holding.
    pub(super) fn ttl_key(&self, id: HoldingId) -> String {
        format!("life/{}/{:x}.{:x}", self.key, id.owner, id.number)
    }

    /// The entry that lasts for the least time of a holding.
    pub(super) fn minimum_key(&self, id: HoldingId) -> String {
        format!("least/{}/{:x}.{:x}", self.key, id.owner, id.number)
    }

    pub(super) fn look(&self) -> Result<Look> {
        let mut bytes = Vec::new();
        let revision = self.store.driver.get(&Access::default(), Space::Coordination, &self.key, &mut bytes)?;
        let Some(revision) = revision else { return Ok(Look { record: Record::new(self.permits), revision: None }) };
        let record = Record::decode(&bytes, revision.get()).ok_or_else(|| self.garbage())?;
        if self.kind == LockKind::Semaphore && record.permits != self.permits {
            return Err(self.mismatch(record.permits));
        }
        Ok(Look { record, revision: Some(revision) })
    }

    fn garbage(&self) -> Error {
        let message =
            format!("{self}: what the store keeps of it is damaged; `shmsync verify` tells more, `force` clears it");
        Error::new(ErrorKind::Corrupt, message)
    }

    fn mismatch(&self, permits: u32) -> Error {
        let message = format!(
            "{self} has {permits} permits since its first use, not {}: ask for {permits}, or use another name",
            self.permits
        );
        Error::new(ErrorKind::Mismatch, message)
    }

    /// The revision under which an entry of coordination is present.
    pub(super) fn present(&self, key: &str) -> Result<Option<Revision>> {
        let head = self.store.driver.head(&Access::default(), Space::Coordination, key)?;
        Ok(head.filter(|head| head.state == crate::driver::State::Live).map(|head| head.revision))
    }

    /// Makes these changes if the record is still as it was looked at; tells the record's new revision, or `None` when
    /// somebody else was first.
    pub(super) fn commit(&self, look: &Look, new: Option<&Record>, changes: &Changes) -> Result<Option<Revision>> {
        let space = Space::Coordination;
        let mut commit = Commit::default();
        let encoded = new.map(Record::encode);
        let expected = look.revision.map_or(Expected::Absent, Expected::At);
        if !broken::has(Defect::RecordNotExpected) {
            commit.expect.push((space, &self.key, expected));
        }
        // The queue is counted in the record: who waits keeps it.
        let is_queued = new.is_some_and(|record| record.head != record.tail);
        let stays = is_queued || self.kind == LockKind::Semaphore;
        let lifetime = if stays { Lifetime::Forever } else { changes.record };
        match &encoded {
            Some(value) => commit.ops.push((space, &self.key, Op::Put { value, lifetime })),
            None => commit.ops.push((space, &self.key, Op::Delete)),
        }
        commit.expect.extend(changes.expect.iter().map(|(key, expected)| (space, &**key, *expected)));
        let put = |(key, value, lifetime)| (space, key, Op::Put { value, lifetime });
        commit.ops.extend(changes.puts.iter().map(|(key, value, lifetime)| put((&**key, &**value, *lifetime))));
        commit.ops.extend(changes.deletes.iter().map(|key| (space, &**key, Op::Delete)));
        // An absent record that stays absent has no revision; that it was not changed is all that matters then.
        Ok(match self.store.driver.commit(&Access::default(), &commit)? {
            Ok(revisions) => revisions.into_iter().next().flatten().or(Revision::new(1)),
            Err(_) => None,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)
    }
}

/// Somebody else changed the record first: each time that is progress of theirs, so this only has to be polite.
pub(super) struct Races(u32);

impl Races {
    pub(super) fn new() -> Self {
        Self(0)
    }

    pub(super) fn lost(&mut self) {
        self.0 += 1;
        if self.0 < 4 {
            std::hint::spin_loop();
        } else if self.0 < 16 {
            std::thread::yield_now();
        } else {
            // Different for each, so that two do not meet again and again.
            let salt = crate::driver::thread_number() & 63;
            std::thread::sleep(Duration::from_micros(u64::from(self.0.min(64)) + salt));
        }
    }
}
