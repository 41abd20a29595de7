//! Waiting until a holding has ended, without taking anything.

use super::{
    place::{Entries, LockKind, Look, Place},
    record::HoldingId,
};
use crate::{driver::Patience, error::Result};

/// Entries to sleep on, and whether to look now and then.
type Keys = (Entries, bool);

impl Place {
    /// Returns when what is held now has ended, whoever has it then; `false` when patience ran out.
    pub(super) fn wait_end(&self, patience: Patience<'_>) -> Result<bool> {
        let (first, mut keys) = self.holding_now(&self.look()?)?;
        let most = if self.kind == LockKind::Semaphore { self.permits as usize } else { 1 };
        if first.len() < most {
            return Ok(true);
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
