//! What is known here about how long entries stay.
//!
//! The cluster counts leases in whole seconds, from two on. Shorter and exacter times are kept by whoever looks: an
//! entry whose writer meant 30 ms counts as expired 30 ms after this process has seen its lease for the first time, by
//! its own monotonic clock. That is never too early, whatever other machines' clocks say. What was found expired is
//! removed by the commit that relies on it, so that whoever has seen it later learns it from the cluster.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use etcd_client::KeyValue;

use super::record::Stay;
use crate::driver::{OwnerId, Remaining, State};

/// So many leases are kept in mind before those long over are forgotten.
const MANY: usize = 4_096;
/// The cluster has removed them long before, also where a new leader gave them more time.
const LONG_OVER: Duration = Duration::from_secs(3_600);

/// The leases that this process has seen, and the keys that it saw them at.
#[derive(Default)]
pub(super) struct Lives(Mutex<Known>);

#[derive(Default)]
struct Known {
    leases: HashMap<i64, Life>,
    keys: HashMap<Vec<u8>, i64>,
    prune_at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Life {
    /// The session of a participant.
    Session,
    /// A session of this process that it has given up.
    Lost,
    Time {
        end: Instant,
        time: Duration,
        /// The cluster was asked, or it began here.
        exact: bool,
    },
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) remaining: Remaining,
    pub(super) state: State,
}

/// What a write that keeps a lifetime finds and leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// The lease that is there; 0 = none.
    pub(super) found: i64,
    /// The lease that will be there.
    pub(super) left: i64,
    pub(super) stay: Stay,
}

impl Standing {
    pub(super) const FOREVER: Self = Self { remaining: Remaining::Forever, state: State::Live };

    pub(super) fn is_live(self) -> bool {
        self.state == State::Live
    }
}

impl Lives {
    /// An entry that was read; `None` where its lease is unknown and only its value could tell.
    pub(super) fn see(&self, entry: &KeyValue, stay: Option<Stay>) -> Option<Standing> {
        self.note(entry.key(), entry.lease(), stay, false)
    }

    /// An entry that was written just now.
    pub(super) fn wrote(&self, key: &[u8], lease: i64, stay: Stay) {
        self.note(key, lease, Some(stay), true);
    }

    fn note(&self, key: &[u8], lease: i64, stay: Option<Stay>, exact: bool) -> Option<Standing> {
        let mut known = self.known();
        if lease == 0 {
            known.keys.remove(key);
            return Some(Standing::FOREVER);
        }
        if !known.leases.contains_key(&lease) {
            let life = match stay? {
                // Attached by somebody else: it ends when the lease does.
                Stay::Forever => return Some(Standing::FOREVER),
                Stay::Owner(_) => Life::Session,
                Stay::Time(time) => Life::until(time, exact),
            };
            known.prune();
            known.leases.insert(lease, life);
        }
        known.keys.insert(key.to_owned(), lease);
        known.leases.get(&lease).map(|life| life.standing(lease))
    }

    /// The key is absent, or about to be something else. The lease that only it had and that nobody needs any more.
    pub(super) fn forget(&self, key: &[u8]) -> Option<i64> {
        let mut known = self.known();
        let lease = known.keys.remove(key)?;
        matches!(known.leases.get(&lease), Some(Life::Time { .. })).then_some(lease)
    }

    /// The lease at that key, if this process has seen it come to its end.
    pub(super) fn ended(&self, key: &[u8]) -> Option<i64> {
        let known = self.known();
        let lease = *known.keys.get(key)?;
        known.leases.get(&lease).filter(|life| !life.standing(lease).is_live()).map(|_| lease)
    }

    /// What a write that keeps a lifetime finds and leaves, as far as is known.
    pub(super) fn kept(&self, key: &[u8]) -> Kept {
        let known = self.known();
        let found = known.keys.get(key).copied().unwrap_or(0);
        let stay = match known.leases.get(&found) {
            Some(life) if !life.standing(found).is_live() => Stay::Forever,
            Some(Life::Time { time, .. }) => Stay::Time(*time),
            Some(Life::Session) => Stay::Owner(OwnerId(found as u64)),
            Some(Life::Lost) | None => Stay::Forever,
        };
        Kept { found, left: if stay == Stay::Forever { 0 } else { found }, stay }
    }

    /// The time of a lease of which this process has only seen that it was there.
    pub(super) fn unasked(&self, lease: i64) -> Option<Duration> {
        match self.known().leases.get(&lease) {
            Some(Life::Time { time, exact: false, .. }) => Some(*time),
            _ => None,
        }
    }

    /// The cluster says that it ends then at the latest.
    pub(super) fn ends_by(&self, lease: i64, latest: Instant) {
        if let Some(Life::Time { end, exact, .. }) = self.known().leases.get_mut(&lease) {
            (*end, *exact) = (latest.min(*end), true);
        }
    }

    /// A session of this process is over, whatever the cluster still believes.
    pub(super) fn lose(&self, lease: i64) {
        self.known().leases.insert(lease, Life::Lost);
    }

    pub(super) fn is_lost(&self, lease: i64) -> bool {
        matches!(self.known().leases.get(&lease), Some(Life::Lost))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    fn until(time: Duration, exact: bool) -> Self {
        let now = Instant::now();
        // Nobody's clock reaches further.
        let end = now.checked_add(time).unwrap_or(now + Duration::from_secs(1 << 32));
        Self::Time { end, time, exact }
    }

    fn standing(self, lease: i64) -> Standing {
        let owner = Remaining::Owner(OwnerId(lease as u64));
        match self {
            Self::Session => Standing { remaining: owner, state: State::Live },
            Self::Lost => Standing { remaining: owner, state: State::OwnerDied },
            Self::Time { end, .. } => {
                let state = if end <= Instant::now() { State::Expired } else { State::Live };
                Standing { remaining: Remaining::Until(end), state }
            }
        }
    }
}

impl Known {
    fn prune(&mut self) {
        if self.leases.len() < self.prune_at.max(MANY) {
            return;
        }
        let now = Instant::now();
        let is_over = |life: &Life| matches!(life, Life::Time { end, .. } if *end + LONG_OVER < now);
        self.leases.retain(|_, life| !is_over(life));
        let leases = &self.leases;
        self.keys.retain(|_, lease| leases.contains_key(lease));
        self.prune_at = 2 * self.leases.len();
    }
}
