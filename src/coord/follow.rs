//! Seeing who leads, one after the other.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{leader::Candidate, lock::Lock, place::Place, token::Token};
use crate::{
    StopHandle,
    driver::{Patience, Stop},
    error::Result,
    store::next_item,
};

/// The leaders of a group, the present one first; made by [`Leader::follow`](super::Leader::follow).
///
/// A leader that leads only for a moment may be left out, the last one never is. As an iterator it waits for the next leader
/// as long as it takes, and ends when it is [stopped](Follow::stop_handle).
pub struct Follow {
    place: Arc<Place>,
    stop: Arc<Stop>,
    last: Option<Token>,
    /// The store is gone; that was told.
    ended: bool,
}

impl Follow {
    pub(super) fn new(lock: &Lock) -> Self {
        Self { place: lock.place.clone(), stop: Arc::default(), last: None, ended: false }
    }

    /// The next leader, for at most that long; `None` when there was none. A timeout of zero looks once.
    ///
    /// # Errors
    /// `Stopped` through the stop handle; `Gone`; `Corrupt`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Candidate>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// As [`Follow::next_timeout`], until that moment.
    ///
    /// # Errors
    /// As [`Follow::next_timeout`].
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Candidate>> {
        self.next_until(Some(deadline))
    }

    /// What ends it from elsewhere: the iterator ends, `next_timeout` fails with `Stopped`.
    #[doc(alias = "cancel")]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.place.store.driver.clone(), self.stop.clone())
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Candidate>> {
        let patience = Patience { deadline, stop: Some(&self.stop) };
        loop {
            patience.sleep(Duration::ZERO)?;
            // Before the candidate: what changes in between is looked at again.
            let revision = self.place.look()?.revision;
            let current = self.place.candidate()?;
            if let Some(new) = current.filter(|candidate| Some(candidate.token) != self.last) {
                self.last = Some(new.token);
                return Ok(Some(new));
            }
            if !self.place.sleep_on(&[(self.place.key.clone(), revision)], false, patience)? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Follow {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Result<Candidate>> {
        let mut ended = self.ended;
        let item = next_item(&mut ended, || self.next_until(None));
        self.ended = ended;
        item
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("group", &self.place.name).field("last", &self.last).finish_non_exhaustive()
    }
}
