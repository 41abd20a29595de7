//! Waiting until a holding has ended, without taking anything.

use super::{
    place::{Entries, LockKind, Look, Place},
    record::{Holding, HoldingId, Span},
};
use crate::{
    driver::{Patience, thread_number},
    error::{Error, ErrorKind, Result},
};

/// Entries to sleep on, and whether to look now and then.
type Keys = (Entries, bool);

impl Place {
    /// Returns when what is held now has ended, whoever has it then; `false` when patience ran out.
    ///
    /// # Errors
    /// `Deadlock` when all of it is this thread's and it would wait for itself for ever.
    pub(super) fn wait_end(&self, patience: Patience<'_>) -> Result<bool> {
        let look = self.look()?;
        let (first, mut keys) = self.holding_now(&look)?;
        let most = if self.kind == LockKind::Semaphore { self.permits as usize } else { 1 };
        if first.len() < most {
            return Ok(true);
        }
        if patience.deadline.is_none() {
            self.check_own(look.record.holdings.iter().filter(|holding| first.contains(&holding.id)))?;
        }
        loop {
            if !self.sleep_on(&keys.0, keys.1, patience)? {
                return Ok(false);
            }
            let (now, next) = self.holding_now(&self.look()?)?;
            let left = first.iter().filter(|id| now.contains(id)).count();
            if left == 0 || self.kind == LockKind::Semaphore && left < first.len() {
                return Ok(true);
            }
            keys = next;
        }
    }

    /// What has a time limit ends also if this thread sleeps.
    fn check_own<'a>(&self, mut holdings: impl Iterator<Item = &'a Holding>) -> Result<()> {
        let me = thread_number();
        if holdings.any(|holding| holding.thread != me || matches!(holding.span, Span::Ttl(_))) {
            return Ok(());
        }
        let message = format!("{self}: this thread holds it and would wait for itself for ever: release it first");
        Err(Error::new(ErrorKind::Deadlock, message))
    }

    fn holding_now(&self, look: &Look) -> Result<(Vec<HoldingId>, Keys)> {
        let mut ids = Vec::new();
        let mut keys = vec![(self.key.clone(), look.revision)];
        let mut is_asked = false;
        for holding in &look.record.holdings {
            let standing = self.standing(holding)?;
            if standing.end.is_none() {
                ids.push(holding.id);
                is_asked |= standing.is_asked;
                keys.extend(standing.lives.into_iter().filter(|(_, revision)| revision.is_some()));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok((ids, (keys, is_asked)))
    }
}
