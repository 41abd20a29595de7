//! This process as somebody who holds: one entry of the store that ends with it, whatever it holds.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{record::HoldingId, who::Who};
use crate::{
    Sync,
    driver::{Access, Commit, Driver, Expected, Lifetime, Op, OwnerId, Space},
    error::{Error, ErrorKind, Result},
};

/// The key of a participant's life.
pub(super) fn session_key(owner: u64) -> String {
    format!("session/{owner:x}")
}

/// What a commit expects that grants something to a participant which may be over without knowing it; nothing where
/// the living know that they live.
pub(super) fn must_live(store: &Sync, owner: u64) -> Option<(String, Expected)> {
    store.driver.capabilities().sessions_end.then(|| (session_key(owner), Expected::Present))
}

/// A process that has told the store that it may hold something.
pub(crate) struct Session {
    pub(super) owner: OwnerId,
    pub(super) who: Who,
}

/// Where a handle keeps its session. Never waited for: a forked child may find it locked by a thread that it lacks.
pub(crate) type SessionSlot = Mutex<Option<Arc<Session>>>;

impl Session {
    /// The session of this process; made at its first use, and again in a forked child.
    pub(super) fn of(store: &Sync) -> Result<Arc<Self>> {
        let owner = store.driver.owner()?;
        let kept = store.session_slot().try_lock().ok().and_then(|slot| slot.clone());
        if let Some(session) = kept.filter(|session| session.owner == owner) {
            return Ok(session);
        }
        let session = Arc::new(Self::begin(store, owner)?);
        match store.session_slot().try_lock() {
            Ok(mut slot) => *slot = Some(session.clone()),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => {
                *PoisonError::into_inner(poisoned) = Some(session.clone());
            }
            Err(std::sync::TryLockError::WouldBlock) => {}
        }
        Ok(session)
    }

    fn begin(store: &Sync, owner: OwnerId) -> Result<Self> {
        let key = session_key(owner.0);
        let expect = vec![(Space::Coordination, &*key, Expected::Absent)];
        let put = Op::Put { value: &[], lifetime: Lifetime::Process };
        let commit = Commit { expect, ops: vec![(Space::Coordination, &key, put)] };
        // Where it is there already, another handle of this process has made it.
        let _ = store.driver.commit(&Access::default(), &commit)?;
        let me = store.driver.participants()?.into_iter().find(|participant| participant.id == owner);
        let me = me.unwrap_or_else(|| crate::driver::Participant::new(owner));
        Ok(Self { owner, who: Who::attached(me) })
    }

    /// # Errors
    /// `Lost` when this session is over, so that nothing can be granted to it.
    pub(super) fn check(&self, store: &Sync) -> Result<()> {
        if !store.driver.capabilities().sessions_end || store.driver.is_alive(self.owner)? {
            return Ok(());
        }
        let message = "the session of this process ended meanwhile, and with it all it held and waited for: try again";
        Err(Error::new(ErrorKind::Lost, message))
    }

    /// A name for a new holding.
    pub(super) fn next_id(&self) -> HoldingId {
        next_id(self.owner)
    }
}

/// A name for a new holding of that participant, which is this process.
pub(super) fn next_id(owner: OwnerId) -> HoldingId {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    HoldingId { owner: owner.0, number: COUNT.fetch_add(1, Relaxed) }
}
