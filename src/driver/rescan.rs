//! Following a prefix by looking at all of it again whenever something changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Access, Driver, Patience, PrefixEvent, PrefixWatch, Range, Remaining, Space, State, ledger::Ledger,
    patience::through_gate,
};
use crate::error::Result;

/// Expiry and death change no version: they are noticed by looking again after this time at the latest.
const BOUND: Duration = Duration::from_secs(2);

/// Follows a prefix of any driver.
pub(crate) struct Rescan<D> {
    driver: Arc<D>,
    access: Access,
    space: Space,
    prefix: String,
    ledger: Ledger,
    /// The version before the last look; `None` before the first.
    version: Option<u64>,
}

impl<D: Driver> Rescan<D> {
    /// Starts with everything that is there at the first call of `next`.
    pub(crate) fn new(driver: Arc<D>, access: Access, space: Space, prefix: &str) -> Self {
        Self { driver, access, space, prefix: prefix.to_owned(), ledger: Ledger::default(), version: None }
    }

    /// Looks at the whole prefix and notes what is new.
    fn look(&mut self, access: &Access) -> Result<()> {
        // The version first: what changes during the look is looked at again.
        let version = self.driver.version()?;
        let range = Range { values: true, dead: true, ..Range::keys(self.space, &self.prefix) };
        let entries = self.driver.range(access, range)?;
        self.version = Some(version);
        self.ledger.enter(entries, |remaining| ended_by(&*self.driver, remaining))
    }

    /// Sleeps until it may be worth looking again; `false` when patience ran out.
    fn sleep(&self, version: u64, patience: Patience<'_>) -> Result<bool> {
        let mut look_again = Instant::now() + BOUND;
        if let Some(expiry) = self.ledger.next_expiry() {
            look_again = look_again.min(expiry);
        }
        if let Some(deadline) = patience.deadline.filter(|deadline| *deadline <= look_again) {
            return self.driver.wait_version(version, Patience { deadline: Some(deadline), ..patience });
        }
        self.driver.wait_version(version, Patience { deadline: Some(look_again), ..patience })?;
        Ok(true)
    }
}

impl<D: Driver> PrefixWatch for Rescan<D> {
    fn next(&mut self, patience: Patience<'_>) -> Result<Option<PrefixEvent>> {
        loop {
            if let Some(event) = self.ledger.pop() {
                return Ok(Some(event));
            }
            if let Some(version) = self.version
                && !self.sleep(version, patience)?
            {
                return Ok(None);
            }
            if through_gate(self.access, patience, |access| self.look(access))?.is_none() {
                return Ok(None);
            }
        }
    }
}

/// What ended an entry of which only this is known; `Live` means that somebody removed it.
pub(crate) fn ended_by(driver: &impl Driver, remaining: Remaining) -> Result<State> {
    Ok(match remaining {
        Remaining::Until(end) if end <= Instant::now() => State::Expired,
        Remaining::Owner(owner) if !driver.is_alive(owner)? => State::OwnerDied,
        _ => State::Live,
    })
}
