//! What a memory store keeps under its lock: two ordered maps, a clock, owners and the gate.

use std::{
    collections::BTreeMap,
    mem,
    ops::Bound,
    time::{Duration, Instant, SystemTime},
};

use super::gate::Gate;
use crate::driver::{Entry, Head, Lifetime, OwnerId, Participant, Remaining, Revision, Space, State, number};
use crate::error::Result;

/// The step of the clock: revisions look like those of a region with 64 shards.
const TICK: u64 = 1 << 6;

/// One stored value.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) value: Vec<u8>,
    pub(super) revision: Revision,
    pub(super) remaining: Remaining,
}

/// Everything that the lock of a world protects.
#[derive(Debug)]
pub(super) struct Tables {
    spaces: [BTreeMap<String, Record>; 2],
    clock: u64,
    /// Only the living.
    pub(super) owners: BTreeMap<u64, Participant>,
    next_owner: u64,
    pub(super) gate: Gate,
    /// Where the search for the dead goes on, per space.
    graves: [String; 2],
    pub(super) gone: bool,
}

impl Tables {
    /// Empty tables with a clock at real time, so that revisions grow over re-creation.
    pub(super) fn new(not_before: u64) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let real = (since_epoch.as_nanos() as u64 / 16).saturating_mul(TICK);
        Self {
            spaces: [BTreeMap::new(), BTreeMap::new()],
            clock: real.max(not_before).max(TICK),
            owners: BTreeMap::new(),
            next_owner: 1,
            gate: Gate::default(),
            graves: [String::new(), String::new()],
            gone: false,
        }
    }

    pub(super) fn space(&self, space: Space) -> &BTreeMap<String, Record> {
        &self.spaces[space as usize]
    }

    fn space_mut(&mut self, space: Space) -> &mut BTreeMap<String, Record> {
        &mut self.spaces[space as usize]
    }

    /// The number of the last change.
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// The next revision.
    pub(super) fn tick(&mut self) -> Revision {
        self.clock += TICK;
        Revision::new(self.clock).expect("the clock starts above zero")
    }

    /// Adds an owner and tells its number.
    pub(super) fn enroll(&mut self, label: &str) -> OwnerId {
        let id = OwnerId(self.next_owner);
        self.next_owner += 1;
        let mut participant = Participant::new(id);
        participant.pid = std::process::id();
        participant.label = label.to_owned();
        participant.command = std::env::args_os().next().map_or(String::new(), |arg| arg.to_string_lossy().into());
        self.owners.insert(id.0, participant);
        id
    }

    /// The owner is dead: what lives with it ends, its gate opens, and whoever waits must look again.
    pub(super) fn bury_owner(&mut self, owner: OwnerId) {
        self.owners.remove(&owner.0);
        self.gate.owner_died(owner);
        self.tick();
    }

    pub(super) fn state(&self, record: &Record, now: Instant) -> State {
        match record.remaining {
            Remaining::Until(end) if end <= now => State::Expired,
            Remaining::Owner(owner) if !self.owners.contains_key(&owner.0) => State::OwnerDied,
            _ => State::Live,
        }
    }

    pub(super) fn head(&self, record: &Record, now: Instant) -> Head {
        Head { revision: record.revision, remaining: record.remaining, state: self.state(record, now) }
    }

    /// The record of a key, if it is alive.
    pub(super) fn live(&self, space: Space, key: &str, now: Instant) -> Option<&Record> {
        self.space(space).get(key).filter(|record| self.state(record, now) == State::Live)
    }

    /// The entries of a prefix in order, dead ones too, from the one after `after`.
    pub(super) fn below<'a>(
        &'a self,
        space: Space,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a String, &'a Record)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.space(space).range::<str, _>((start, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub(super) fn entry(&self, key: &str, record: &Record, values: bool, now: Instant) -> Entry {
        let value = if values { record.value.clone() } else { Vec::new() };
        Entry { key: key.to_owned(), value, head: self.head(record, now) }
    }

    /// Stores a value on behalf of `owner`.
    pub(super) fn put(
        &mut self,
        owner: OwnerId,
        space: Space,
        key: &str,
        value: &[u8],
        lifetime: Lifetime,
        now: Instant,
    ) -> Revision {
        let remaining = lifetime.begin(owner, self.live(space, key, now).map(|record| record.remaining));
        let revision = self.tick();
        match self.space_mut(space).get_mut(key) {
            Some(record) => {
                record.value.clear();
                record.value.extend_from_slice(value);
                (record.revision, record.remaining) = (revision, remaining);
            }
            None => {
                let record = Record { value: value.to_owned(), revision, remaining };
                self.space_mut(space).insert(key.to_owned(), record);
            }
        }
        revision
    }

    /// Removes a key, dead or alive; tells the revision of the removal if it was alive.
    pub(super) fn delete(&mut self, space: Space, key: &str, now: Instant) -> Option<Revision> {
        let lived = self.live(space, key, now).is_some();
        self.space_mut(space).remove(key)?;
        let revision = self.tick();
        lived.then_some(revision)
    }

    /// Adds to an integer; 0 where absent.
    pub(super) fn add(
        &mut self,
        owner: OwnerId,
        space: Space,
        key: &str,
        delta: i64,
        now: Instant,
    ) -> Result<(i64, Revision)> {
        let current = self.live(space, key, now).map_or(Ok(0), |record| number::decode(key, &record.value))?;
        let sum = number::add(key, current, delta)?;
        let revision = self.put(owner, space, key, number::encode(sum, &mut [0; 9]), Lifetime::Keep, now);
        Ok((sum, revision))
    }

    /// Removes everything below a prefix.
    pub(super) fn clear(&mut self, space: Space, prefix: &str) {
        self.space_mut(space).retain(|key, _| !key.starts_with(prefix));
        self.tick();
    }

    /// Looks at the next two entries of each space and drops what is dead, so that nothing forgotten stays for ever.
    pub(super) fn bury_some(&mut self, now: Instant) {
        for space in [Space::Values, Space::Coordination] {
            for _ in 0..2 {
                self.bury_next(space, now);
            }
        }
    }

    fn bury_next(&mut self, space: Space, now: Instant) {
        // Its buffer is used again, so that writing allocates nothing.
        let mut grave = mem::take(&mut self.graves[space as usize]);
        let from = Bound::Excluded(grave.as_str());
        let next = self.space(space).range::<str, _>((from, Bound::Unbounded)).next();
        let next = next.map(|(key, record)| (key, self.state(record, now)));
        grave.clear();
        if let Some((key, state)) = next {
            grave.push_str(key);
            if state != State::Live {
                self.space_mut(space).remove(&grave);
            }
        }
        self.graves[space as usize] = grave;
    }

    /// When the first of these entries expires by itself.
    pub(super) fn next_expiry<'a>(&self, records: impl Iterator<Item = &'a Record>) -> Option<Instant> {
        let ends = records.filter_map(|record| match record.remaining {
            Remaining::Until(end) => Some(end),
            _ => None,
        });
        ends.min()
    }
}
