//! What a call has left in the store when nobody answered is taken back as soon as somebody does: nobody else would. Such
//! calls end with `Unreachable`, and their callers have nothing in their hands that could end it.

use std::{
    sync::{Mutex, TryLockError},
    thread,
};

use super::{place::Place, record::HoldingId};
use crate::{
    driver::{AGAIN, Access, Driver, Expected, Op, OwnerId, PAUSES, Space, spawn_aside},
    error::{Error, ErrorKind, Result},
};

/// Holdings that threads aside are giving back: whoever took them has them no longer.
static GIVEN_BACK: Mutex<Vec<HoldingId>> = Mutex::new(Vec::new());

/// Looks at them, or changes them. Not for as long as it takes: a forked child may find them locked by a thread that it lacks.
fn given_back<T>(act: impl FnOnce(&mut Vec<HoldingId>) -> T) -> Option<T> {
    (0..100)
        .find_map(|_| match GIVEN_BACK.try_lock() {
            Ok(ids) => Some(ids),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                thread::yield_now();
                None
            }
        })
        .map(|mut ids| act(&mut ids))
}

/// Whether a holding that is still in the store is none any more for this process.
pub(super) fn is_given_back(id: HoldingId) -> bool {
    given_back(|ids| ids.contains(&id)).unwrap_or(false)
}

/// What may be left.
pub(super) enum Left {
    Holding(HoldingId),
    /// A ticket, known by its value: numbers are used again.
    Ticket {
        key: String,
        value: Vec<u8>,
        owner: u64,
    },
}

impl Left {
    fn holding(&self) -> Option<HoldingId> {
        match self {
            Self::Holding(id) => Some(*id),
            Self::Ticket { .. } => None,
        }
    }
}

impl Place {
    /// Passes an error on. Where nobody knows whether the call has left something, that is taken back on a thread aside.
    #[cold]
    pub(super) fn amended(&self, error: Error, left: Left) -> Error {
        if error.kind() == ErrorKind::Unreachable {
            let (place, id) = (self.clone(), left.holding());
            given_back(|ids| ids.extend(id));
            // Numbers are not used again: one that stays does no harm.
            let ended = move || _ = given_back(|ids| ids.retain(|known| Some(*known) != id));
            let work = move || {
                place.take_back(&left);
                ended();
            };
            // Where no thread can be had, it ends with the session.
            if spawn_aside("shmsync-amends", work).is_err() {
                ended();
            }
        }
        error
    }

    fn take_back(&self, left: &Left) {
        let owner = match left {
            Left::Holding(id) => id.owner,
            Left::Ticket { owner, .. } => *owner,
        };
        for pause in PAUSES {
            thread::sleep(pause);
            while let Err(error) = self.take_back_once(left) {
                // What ends with the session needs nobody any more when that has ended.
                let is_over = !self.store.driver.is_alive(OwnerId(owner)).unwrap_or(true);
                if error.kind() != ErrorKind::Unreachable || is_over {
                    return;
                }
                thread::sleep(AGAIN);
            }
        }
    }

    fn take_back_once(&self, left: &Left) -> Result<()> {
        match left {
            Left::Holding(id) => self.release_where(|holding| holding.id == *id).map(drop),
            Left::Ticket { key, value, .. } => {
                let (driver, access, mut found) = (&self.store.driver, Access::default(), Vec::new());
                let revision = driver.get(&access, Space::Coordination, key, &mut found)?;
                if let Some(revision) = revision.filter(|_| found == *value) {
                    let _ = driver.change(&access, Space::Coordination, key, Expected::At(revision), Op::Delete)?;
                }
                self.tidy()
            }
        }
    }
}
