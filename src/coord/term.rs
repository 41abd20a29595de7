//! One leadership, from its beginning to its end, which comes once.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU8, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};

use super::{
    leader::Leader,
    place::{Entries, Place},
    take::Grant,
};
use crate::{
    driver::{AnyDriver, Driver, Patience, Stop, uptime_ns},
    error::{ErrorKind, Result},
};

/// Between two tries when the store does not answer.
const AGAIN: Duration = Duration::from_millis(50);

/// Why a leadership is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Revoked {
    /// It was given up.
    Resigned = 1,
    /// It was not renewed in time, or the session it lived with is over.
    Expired = 2,
    /// Somebody ended it by force.
    Forced = 3,
    /// The store is gone.
    Gone = 4,
}

impl Revoked {
    fn of(number: u8) -> Option<Self> {
        [Self::Resigned, Self::Expired, Self::Forced, Self::Gone].into_iter().find(|why| *why as u8 == number)
    }
}

/// One leadership from its beginning to its end, which comes once.
pub(super) struct Term {
    place: Arc<Place>,
    pub(super) grant: Grant,
    ttl: Option<Duration>,
    may_lose_session: bool,
    /// 0 while it lasts; a [`Revoked`] from then on.
    end: AtomicU8,
    /// Where it has a time limit: until when it was renewed, by a clock that goes on during suspension.
    renewed_until: AtomicU64,
    /// Ends the thread.
    stop: Stop,
}

impl Term {
    pub(super) fn new(leader: &Leader, grant: Grant) -> Result<Self> {
        let ttl = leader.lock.wanted.ttl;
        let term = Self {
            place: leader.lock.place.clone(),
            grant,
            ttl,
            may_lose_session: leader.lock.place.store.driver.capabilities().sessions_end,
            end: AtomicU8::new(0),
            renewed_until: AtomicU64::new(0),
            stop: Stop::new(),
        };
        // When exactly the limit began is not known here, so it begins anew: nobody is told that he leads longer than
        // he does.
        if let Some(ttl) = ttl {
            term.renew(ttl).inspect_err(|_| drop(term.resign()))?;
        }
        Ok(term)
    }

    /// Whether it is over. Asked all the time: a load, and a look at the clock where there is a time limit.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.end.load(Acquire) != 0 || self.has_run_out()
    }

    fn driver(&self) -> &AnyDriver {
        &self.place.store.driver
    }

    pub(super) fn end(&self) -> Option<Revoked> {
        self.has_run_out();
        Revoked::of(self.end.load(Acquire))
    }

    /// The first end is the end. Whether this was the first.
    fn revoke(&self, why: Revoked) -> bool {
        let first = self.end.compare_exchange(0, why as u8, AcqRel, Acquire).is_ok();
        if first {
            self.stop.stop();
            self.driver().interrupt(&self.stop);
        }
        first
    }

    /// Whether the time limit has passed since the last renewal, or the session is over, whatever the thread that renews
    /// is doing.
    #[inline]
    fn has_run_out(&self) -> bool {
        let is_renewed = self.ttl.is_none() || uptime_ns() < self.renewed_until.load(Acquire);
        if is_renewed && !(self.may_lose_session && self.grant.has_ended(&self.place).unwrap_or(false)) {
            return false;
        }
        self.revoke(Revoked::Expired);
        true
    }

    pub(super) fn resign(&self) -> Result<bool> {
        let is_first = !self.has_run_out() && self.revoke(Revoked::Resigned);
        // What was revoked may still stand in the store: an end that only this process has noticed.
        let released = self.place.release(&self.grant);
        match released {
            Err(error) if error.kind() == ErrorKind::Gone => Ok(false),
            released => Ok(released? && is_first),
        }
    }

    /// Sets the limit anew. It counts from before the call: others may not see it end earlier than we do.
    fn renew(&self, ttl: Duration) -> Result<()> {
        let until = uptime_ns().saturating_add(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        self.place.extend(self.grant.id, ttl)?;
        self.renewed_until.store(until, Release);
        Ok(())
    }

    /// The life of the quiet thread: renews, and notices the end.
    pub(super) fn look_after(&self) {
        let mut next = self.ttl.map(|ttl| Instant::now() + ttl / 3);
        while self.end().is_none() {
            match self.sleep(Patience { deadline: next, stop: Some(&self.stop) }) {
                Ok(true) => {}
                Ok(false) => {
                    let Some(ttl) = self.ttl else { continue };
                    // What has run out is not renewed, even if nobody has taken it yet: it was told to be over.
                    if self.has_run_out() {
                        break;
                    }
                    match self.renew(ttl) {
                        Err(error) if error.kind() == ErrorKind::Lost => drop(self.notice()),
                        // No room or another trouble: what was renewed before still counts, and the next try is soon.
                        _ => next = Some(Instant::now() + ttl / 3),
                    }
                }
                Err(_) => break,
            }
        }
        if matches!(self.end(), Some(Revoked::Expired)) {
            // Others need not wait for the rest of it.
            let _ = self.place.release(&self.grant);
        }
    }

    /// Looks whether it is over; else sleeps until something about it changes. `false` when patience ran out.
    pub(super) fn sleep(&self, patience: Patience<'_>) -> Result<bool> {
        match self.sleep_once(patience) {
            Err(error) if matches!(error.kind(), ErrorKind::Gone | ErrorKind::Corrupt) => {
                self.revoke(Revoked::Gone);
                Ok(true)
            }
            // Nobody answers: it goes on until its limit, or its session, is over.
            Err(error) if error.kind() == ErrorKind::Unreachable => {
                let Some(pause) = patience.sleep(AGAIN)? else { return Ok(false) };
                std::thread::sleep(pause);
                Ok(true)
            }
            slept => slept,
        }
    }

    fn sleep_once(&self, patience: Patience<'_>) -> Result<bool> {
        let Some(keys) = self.notice()? else { return Ok(true) };
        let bound = self.ttl.map(|_| {
            let left = self.renewed_until.load(Relaxed).saturating_sub(uptime_ns());
            Instant::now() + Duration::from_nanos(left)
        });
        match (bound, patience.deadline) {
            // The end of the limit is a change like any other.
            (Some(bound), deadline) if deadline.is_none_or(|deadline| bound < deadline) => {
                self.place.sleep_on(&keys, false, Patience { deadline: Some(bound), ..patience })?;
                Ok(true)
            }
            _ => self.place.sleep_on(&keys, false, patience),
        }
    }

    /// Looks at the store; where it is over, says so, else tells the entries that will change then.
    fn notice(&self) -> Result<Option<Entries>> {
        let look = self.place.look()?;
        let Some(holding) = look.record.find(self.grant.id) else {
            // Whoever took over from an expired leader has removed it too.
            if !self.has_run_out() {
                self.revoke(Revoked::Forced);
            }
            return Ok(None);
        };
        let standing = self.place.standing(holding)?;
        if standing.end.is_some() {
            self.revoke(Revoked::Expired);
            return Ok(None);
        }
        let mut keys = standing.lives;
        keys.push((self.place.key.clone(), look.revision));
        Ok(Some(keys))
    }
}
