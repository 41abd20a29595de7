//! What a watch of a prefix has seen, and what is new about what it sees now.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{Entry, PrefixEvent, Remaining, Revision, State};
use crate::error::Result;

/// The entries seen last, and the changes not yet told.
#[derive(Default)]
pub(crate) struct Ledger {
    seen: BTreeMap<String, (Revision, Remaining)>,
    pending: VecDeque<PrefixEvent>,
}

impl Ledger {
    /// Compares everything that is there now, dead entries included, with what was there before.
    pub(crate) fn enter(&mut self, entries: Vec<Entry>, ended_by: impl Fn(Remaining) -> Result<State>) -> Result<()> {
        let mut before = std::mem::take(&mut self.seen);
        for entry in entries {
            self.compare(before.remove(&entry.key), entry);
        }
        for (key, (revision, remaining)) in before {
            let reason = ended_by(remaining)?;
            self.pending.push_back(PrefixEvent::Removed { key, revision, reason });
        }
        Ok(())
    }

    /// Compares one entry as it is now, dead or alive, with what was there before.
    #[cfg(feature = "etcd")]
    pub(crate) fn change(
        &mut self,
        key: &str,
        now: Option<Entry>,
        ended_by: impl Fn(Remaining) -> Result<State>,
    ) -> Result<()> {
        match (self.seen.remove(key), now) {
            (before, Some(entry)) => self.compare(before, entry),
            (Some((revision, remaining)), None) => {
                let (key, reason) = (key.to_owned(), ended_by(remaining)?);
                self.pending.push_back(PrefixEvent::Removed { key, revision, reason });
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn compare(&mut self, before: Option<(Revision, Remaining)>, entry: Entry) {
        let Entry { key, value, head } = entry;
        if head.state != State::Live {
            if let Some((revision, _)) = before {
                self.pending.push_back(PrefixEvent::Removed { key, revision, reason: head.state });
            }
            return;
        }
        self.seen.insert(key.clone(), (head.revision, head.remaining));
        if before.is_none_or(|(revision, _)| revision != head.revision) {
            self.pending.push_back(PrefixEvent::Set { key, value, revision: head.revision });
        }
    }

    /// The next change to be told.
    pub(crate) fn pop(&mut self) -> Option<PrefixEvent> {
        self.pending.pop_front()
    }

    /// When the first of the entries seen ends by itself.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let ends = self.seen.values().filter_map(|(_, remaining)| match remaining {
            Remaining::Until(end) => Some(*end),
            _ => None,
        });
        ends.min()
    }

    /// Entries seen that have ended by themselves, or may have: their owners are asked for.
    #[cfg_attr(not(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable))), allow(dead_code))]
    pub(crate) fn ended(&self, is_dead: impl Fn(Remaining) -> bool) -> impl Iterator<Item = &str> {
        let seen = self.seen.iter();
        seen.filter(move |(_, (_, remaining))| is_dead(*remaining)).map(|(key, _)| key.as_str())
    }
}
