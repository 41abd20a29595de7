//! Giving back, taking away, prolonging: changes of holdings that there are.

use std::time::{Duration, Instant};

use super::{
    amends::Left,
    place::{Changes, LockKind, Look, Place, Races, beyond},
    record::{Holding, HoldingId, Span},
    standing::End,
    take::Grant,
};
use crate::{
    driver::{Access, Driver, Expected, Lifetime, Op, Remaining, Revision, Space, State},
    error::{Error, ErrorKind, Result},
};

impl Place {
    /// Gives back what was granted; `false` when it was lost before. Where nobody answers, it is given back as soon as
    /// somebody does.
    pub(super) fn release(&self, grant: &Grant) -> Result<bool> {
        self.release_now(grant).map_err(|error| self.amended(error, Left::Holding(grant.id)))
    }

    #[inline]
    fn release_now(&self, grant: &Grant) -> Result<bool> {
        if grant.is_alone && self.release_alone(grant)? {
            return Ok(true);
        }
        self.release_where(|holding| holding.id == grant.id)
    }

    /// Nobody else is in the record, and nobody waits: it goes as a whole, unless that is no longer so.
    fn release_alone(&self, grant: &Grant) -> Result<bool> {
        let at = Expected::At(grant.token);
        if grant.span == Span::Process || grant.span == Span::Forever {
            let access = Access::default();
            let gone = self.store.driver.change(&access, Space::Coordination, &self.key, at, Op::Delete)?;
            return Ok(gone.is_ok());
        }
        let ttl = self.ttl_key(grant.id);
        let look = Look { record: super::record::Record::new(self.permits), revision: Some(grant.token) };
        let changes =
            Changes { expect: vec![(ttl.clone(), Expected::Present)], deletes: vec![ttl], ..Changes::default() };
        Ok(self.commit(&look, None, &changes)?.is_some())
    }

    /// Gives back the first holding of which this is so; `false` when there is none, or none any more.
    pub(super) fn release_where(&self, is_meant: impl Fn(&Holding) -> bool) -> Result<bool> {
        self.store.writable()?;
        let mut races = Races::new();
        loop {
            let look = self.look()?;
            let Some(at) = look.record.holdings.iter().position(&is_meant) else { return Ok(false) };
            if let Some(released) = self.release_at(look, at)? {
                return Ok(released);
            }
            races.lost();
        }
    }

    fn release_at(&self, mut look: Look, at: usize) -> Result<Option<bool>> {
        let holding = &look.record.holdings[at];
        let standing = self.standing(holding)?;
        let least = self.minimum_key(holding.id);
        let least_left = if holding.minimum { self.time_left(&least)? } else { None };
        let least_is_over = least_left.is_none();
        let was_held = !holding.released && standing.end.is_none();
        if holding.released && !least_is_over {
            return Ok(Some(false));
        }
        let mut changes = Changes::default();
        if matches!(holding.span, Span::Ttl(_)) {
            changes.deletes.push(self.ttl_key(holding.id));
        }
        if least_is_over {
            look.record.holdings.remove(at);
        } else {
            // Until then it stays as it is for everybody, but for the one who has it no longer.
            look.record.holdings[at].released = true;
            look.record.holdings[at].thread = 0;
            if let (Some(left), 1) = (least_left, look.record.holdings.len()) {
                changes.record = beyond(left);
            }
        }
        Ok(self.store_rest(&look, &changes)?.then_some(was_held))
    }

    /// Stores what is left of a record: nothing where nobody holds and nobody waits.
    fn store_rest(&self, look: &Look, changes: &Changes) -> Result<bool> {
        let is_left = self.kind == LockKind::Semaphore
            || !look.record.holdings.is_empty()
            || self.nearest_before(look, look.record.tail)?.is_some();
        Ok(self.commit(look, is_left.then_some(&look.record), changes)?.is_some())
    }

    /// Frees all of it; `false` when it was free.
    pub(super) fn force(&self) -> Result<bool> {
        self.store.writable()?;
        let mut races = Races::new();
        loop {
            let mut look = match self.look() {
                Err(error) if error.kind() == ErrorKind::Corrupt => return self.clear(),
                look => look?,
            };
            if look.record.holdings.is_empty() {
                return Ok(false);
            }
            let mut changes = Changes::default();
            let mut was_held = false;
            for holding in std::mem::take(&mut look.record.holdings) {
                // What an owner left that is dead was not free; what was over was.
                was_held |= self.standing(&holding)?.end != Some(End::Over);
                if matches!(holding.span, Span::Ttl(_)) {
                    changes.deletes.push(self.ttl_key(holding.id));
                }
                if holding.minimum {
                    changes.deletes.push(self.minimum_key(holding.id));
                }
            }
            if self.store_rest(&look, &changes)? {
                return Ok(was_held);
            }
            races.lost();
        }
    }

    /// Damaged beyond reading: nobody can hold it. Who waits looks again.
    fn clear(&self) -> Result<bool> {
        self.store.driver.delete(&Access::default(), Space::Coordination, &self.key)
    }

    /// Sets the end of a holding with a time limit anew, from now on.
    ///
    /// # Errors
    /// `Lost` when it has ended; `Invalid` for one without a time limit.
    pub(super) fn extend(&self, id: HoldingId, ttl: Duration) -> Result<()> {
        self.store.writable()?;
        let look = self.look()?;
        let Some(holding) = look.record.find(id).filter(|holding| !holding.released) else { return Err(self.lost()) };
        if !matches!(holding.span, Span::Ttl(_)) {
            let message =
                format!("{self} is held without a time limit: only one that was taken with ttl() is extended");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.keep_record(ttl)?;
        let key = self.ttl_key(id);
        // Only an entry that is still there is made longer: whoever takes over from the expired expects it absent.
        let put = Op::Put { value: &[], lifetime: Lifetime::Ttl(ttl) };
        let access = Access::default();
        match self.store.driver.change(&access, Space::Coordination, &key, Expected::Present, put)? {
            Ok(_) => Ok(()),
            Err(_) => Err(self.lost()),
        }
    }

    /// The record stays for at least that long.
    fn keep_record(&self, time: Duration) -> Result<()> {
        let mut races = Races::new();
        while self.time_left(&self.key)?.is_some_and(|left| left < time) {
            let look = self.look()?;
            if look.revision.is_none() || self.commit(&look, Some(&look.record), &Changes::default())?.is_some() {
                break;
            }
            races.lost();
        }
        Ok(())
    }

    /// How long an entry stays; `None` when it is absent.
    fn time_left(&self, key: &str) -> Result<Option<Duration>> {
        let head = self.store.driver.head(&Access::default(), Space::Coordination, key)?;
        Ok(head.filter(|head| head.state == State::Live).map(|head| match head.remaining {
            Remaining::Until(end) => end.saturating_duration_since(Instant::now()),
            _ => Duration::MAX,
        }))
    }

    pub(super) fn lost(&self) -> Error {
        let message = format!("{self} was lost meanwhile, by its time limit or by force: stop, and take it again");
        Error::new(ErrorKind::Lost, message)
    }

    /// Whether that holding still counts, and as one that was not given back.
    pub(super) fn is_held(&self, id: HoldingId) -> Result<bool> {
        let look = self.look()?;
        let Some(holding) = look.record.find(id) else { return Ok(false) };
        Ok(!holding.released && self.standing(holding)?.end.is_none())
    }

    /// The thread that took it may ask again: it is kept for somebody else. Where this fails, it only may not.
    pub(super) fn forget_thread(&self, id: HoldingId) -> Result<Option<Revision>> {
        let mut races = Races::new();
        loop {
            let mut look = self.look()?;
            let Some(holding) = look.record.holdings.iter_mut().find(|holding| holding.id == id) else {
                return Ok(None);
            };
            holding.thread = 0;
            let changes = Changes { record: Lifetime::Keep, ..Changes::default() };
            if let Some(revision) = self.commit(&look, Some(&look.record), &changes)? {
                return Ok(Some(revision));
            }
            races.lost();
        }
    }
}
