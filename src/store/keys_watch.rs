//! Following single keys.

use super::{Sync, scratch::Scratch, watch::Initial};
use crate::{
    driver::{Access, Driver, Patience, PrefixEvent, Remaining, Revision, Space, State, ended_by, through_gate},
    error::Result,
};

/// Follows single keys.
pub(super) struct KeysWatch {
    /// Whole keys.
    pub(super) keys: Vec<String>,
    /// Of each, what was told last.
    seen: Vec<Option<(Revision, Remaining)>>,
    pub(super) initial: Initial,
    /// Where to look first, so that a busy key does not hide the others.
    first: usize,
}

impl KeysWatch {
    pub(super) fn new(store: &Sync, keys: &[&str]) -> Result<Self> {
        let keys = keys.iter().map(|key| store.whole_key(key)).collect::<Result<Vec<_>>>()?;
        let mut initial = Initial::new();
        for key in &keys {
            let head = store.driver.head(&store.access, Space::Values, key)?;
            if let Some(head) = head.filter(|head| head.state == State::Live) {
                initial.insert(key.clone(), head.revision);
            }
        }
        Ok(Self { seen: vec![None; keys.len()], keys, initial, first: 0 })
    }

    pub(super) fn next(&mut self, store: &Sync, patience: Patience<'_>) -> Result<Option<PrefixEvent>> {
        loop {
            for step in 0..self.keys.len() {
                let index = (self.first + step) % self.keys.len();
                let look = through_gate(store.access, patience, |access| self.look(store, access, index))?;
                let Some(event) = look else { return Ok(None) };
                if event.is_some() {
                    self.first = index + 1;
                    return Ok(event);
                }
            }
            let seen = self.keys.iter().zip(&self.seen);
            let seen: Vec<_> =
                seen.map(|(key, seen)| (Space::Values, &**key, seen.map(|(revision, _)| revision))).collect();
            if !store.driver.wait(&seen, patience)? {
                return Ok(None);
            }
        }
    }

    /// Looks at one key; tells what is new of it.
    fn look(&mut self, store: &Sync, access: &Access, index: usize) -> Result<Option<PrefixEvent>> {
        let key = &self.keys[index];
        let mut value = Scratch::<Vec<u8>>::take();
        let current = store.driver.get(access, Space::Values, key, &mut value)?;
        let before = self.seen[index];
        match (current, before) {
            (Some(revision), before) if before.is_none_or(|(before, _)| before != revision) => {
                let head = store.driver.head(access, Space::Values, key)?;
                let remaining = head.filter(|head| head.revision == revision).map(|head| head.remaining);
                self.seen[index] = Some((revision, remaining.unwrap_or(Remaining::Forever)));
                Ok(Some(PrefixEvent::Set { key: key.clone(), value: value.clone(), revision }))
            }
            (None, Some((revision, remaining))) => {
                let reason = self.removal(store, access, index, revision, remaining)?;
                self.seen[index] = None;
                Ok(Some(PrefixEvent::Removed { key: key.clone(), revision, reason }))
            }
            // It was there when the watch began, and was removed before it could be told.
            (None, None) => Ok(self.initial.remove(key).map(|revision| PrefixEvent::Removed {
                key: key.clone(),
                revision,
                reason: State::Live,
            })),
            _ => Ok(None),
        }
    }

    /// What ended the entry of that revision.
    fn removal(
        &self,
        store: &Sync,
        access: &Access,
        index: usize,
        revision: Revision,
        remaining: Remaining,
    ) -> Result<State> {
        let head = store.driver.head(access, Space::Values, &self.keys[index])?;
        match head {
            Some(head) if head.revision == revision => Ok(head.state),
            _ => ended_by(&*store.driver, remaining),
        }
    }
}
