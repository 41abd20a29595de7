//! Following a prefix: only shards in which something changed below it are looked at again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Shm,
    attachment::Attachment,
    member::Member,
    owner_id,
    wait::{SHORT, Sleep},
};
use crate::{
    driver::{
        Access, Driver, Patience, PrefixEvent, PrefixWatch, Remaining, Space, ended_by, ledger::Ledger, through_gate,
    },
    error::Result,
    primitive::allowance::Allowance,
    storage::Wanted,
};

/// A watch of a prefix with a place in the region's table.
pub(super) struct Follow {
    shm: Shm,
    access: Access,
    space: Space,
    prefix: String,
    /// `None` in a child for which there was none: it looks at everything after each change.
    place: Option<u64>,
    owner: u64,
    /// Of the region, before it was looked at last.
    version: u64,
    /// What was seen, shard by shard.
    ledgers: Vec<Ledger>,
    /// Shards to look at.
    dirty: u64,
}

impl Follow {
    /// `None` when the table is full; whoever asks then looks at everything after each change.
    pub(super) fn begin(
        attachment: &Arc<Attachment>,
        access: Access,
        space: Space,
        prefix: &str,
    ) -> Result<Option<Self>> {
        if attachment.is_read_only() {
            return Ok(None);
        }
        let shm = Shm(Arc::clone(attachment));
        let owner = shm.owner()?.0;
        let place = register(attachment, owner, space, prefix);
        if place.is_none() {
            return Ok(None);
        }
        let ledgers = attachment.storage.shards().map(|_| Ledger::default()).collect();
        let (prefix, version) = (prefix.to_owned(), 0);
        Ok(Some(Self { shm, access, space, prefix, place, owner, version, ledgers, dirty: u64::MAX }))
    }

    fn attachment(&self) -> &Attachment {
        &self.shm.0
    }

    /// Looks at the dirty shards and notes what is new.
    fn look(&mut self, access: &Access) -> Result<()> {
        let attachment = Arc::clone(&self.shm.0);
        let (storage, allowance) = (&attachment.storage, Allowance::full());
        self.version = storage.version();
        storage.acquire_all();
        self.dirty |= self.place.map_or(u64::MAX, |place| storage.watches().take_dirty(place));
        for shard in storage.shards().filter(|shard| self.dirty >> shard.index & 1 == 1) {
            let wanted =
                Wanted { space: self.space, prefix: self.prefix.as_bytes(), values: true, shards: 1 << shard.index };
            let found = attachment.gated(access, self.space, || storage.scan(&wanted, &allowance))?;
            let entries = self.shm.entries(found, true)?;
            self.ledgers[shard.index as usize].enter(entries, |remaining| ended_by(&self.shm, remaining))?;
        }
        self.dirty = 0;
        Ok(())
    }

    /// Sleeps until something may be new; `false` when patience ran out.
    fn sleep(&mut self, patience: Patience<'_>) -> Result<bool> {
        let attachment = Arc::clone(&self.shm.0);
        attachment.check_gone()?;
        let mut sleep = Sleep::new(&attachment, patience);
        if let Some(expiry) = self.ledgers.iter().filter_map(Ledger::next_expiry).min() {
            sleep.at_most(expiry.saturating_duration_since(Instant::now()) + Duration::from_micros(50));
        }
        match self.place {
            Some(place) => sleep.on(attachment.storage.watches().wait_word(place)),
            None => sleep.on(attachment.storage.any_wait_word()),
        }
        // Who ends a change does not look for waiters of any change again.
        if self.place.is_none() && attachment.storage.is_changing() {
            sleep.at_most(SHORT);
        }
        if !sleep.unless(|| Ok(self.has_news()))? {
            return Ok(false);
        }
        attachment.check_name_now()?;
        self.mark_ended();
        Ok(true)
    }

    /// Whether something may have changed since it was looked at.
    fn has_news(&self) -> bool {
        let storage = &self.attachment().storage;
        let is_new = match self.place {
            Some(place) => storage.watches().is_dirty(place),
            None => storage.version() != self.version,
        };
        self.dirty != 0 || is_new
    }

    /// In a forked child the place is its parent's, or by now somebody else's: it needs one of its own, and looks at all.
    fn keep_place(&mut self) -> Result<()> {
        let (attachment, mine) = (Arc::clone(&self.shm.0), self.shm.owner()?.0);
        let watches = attachment.storage.watches();
        if self.owner == mine && self.place.is_some_and(|place| watches.is_held(place, mine)) {
            return Ok(());
        }
        let was_another = self.owner != mine || self.place.is_some();
        (self.place, self.owner) = (register(&attachment, mine, self.space, &self.prefix), mine);
        if was_another || self.place.is_some() {
            self.dirty = u64::MAX;
        }
        Ok(())
    }

    /// Shards in which an entry ended by itself: nobody tells of that.
    fn mark_ended(&mut self) {
        let is_dead = |remaining| match remaining {
            Remaining::Forever => false,
            Remaining::Until(end) => end <= Instant::now(),
            Remaining::Owner(owner) => !self.shm.is_alive(owner).unwrap_or(true),
        };
        for (index, ledger) in self.ledgers.iter().enumerate() {
            if ledger.ended(is_dead).next().is_some() {
                self.dirty |= 1 << index;
            }
        }
    }
}

fn register(attachment: &Attachment, owner: u64, space: Space, prefix: &str) -> Option<u64> {
    let storage = &attachment.storage;
    let is_dead = |owner: u64| storage.participants().owner_is_dead((owner & 0x1fff) as u32, owner >> 13);
    storage.watches().add(owner, space as u64, prefix.as_bytes(), is_dead)
}

impl PrefixWatch for Follow {
    fn next(&mut self, patience: Patience<'_>) -> Result<Option<PrefixEvent>> {
        loop {
            if let Some(event) = self.ledgers.iter_mut().find_map(Ledger::pop) {
                return Ok(Some(event));
            }
            self.keep_place()?;
            if !self.has_news() {
                match self.sleep(patience)? {
                    true => continue,
                    false => return Ok(None),
                }
            }
            let access = self.access;
            if through_gate(access, patience, |access| self.look(access))?.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        // A forked child must not take its parent's place away, nor join only to find that out.
        let is_ours = |member: &Member| owner_id(member.number, member.name.slot).0 == self.owner;
        if self.attachment().joined().is_some_and(is_ours) {
            self.place.inspect(|place| self.attachment().storage.watches().remove(*place, self.owner));
        }
    }
}
