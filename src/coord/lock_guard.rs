//! A lock that is held.

use std::{fmt, sync::Arc, time::Duration};

use super::{place::Place, take::Grant, token::Token};
use crate::{
    driver::incarnation,
    error::{Error, ErrorKind, Result},
};

/// A lock that is held; dropping it releases it. In a forked child it is inert: there it releases nothing, and its calls
/// answer `NotOwner`.
#[must_use = "the lock is released as soon as this is dropped"]
pub struct LockGuard {
    place: Arc<Place>,
    grant: Grant,
    /// The process that took it.
    process: u64,
    is_over: bool,
}

impl LockGuard {
    pub(super) fn new(place: Arc<Place>, grant: Grant) -> Self {
        Self { place, grant, process: incarnation(), is_over: false }
    }

    /// The number of this holding, larger than that of every earlier one; see [`Token`].
    #[doc(alias = "fencing_token")]
    pub fn token(&self) -> Token {
        self.grant.token.into()
    }

    /// Whether it was taken over from an owner that died: what the lock protects may be half done.
    #[doc(alias = "poisoned")]
    #[doc(alias = "EOWNERDEAD")]
    pub fn previous_owner_died(&self) -> bool {
        self.grant.previous_owner_died
    }

    /// Whether it is still held: not expired, not forced.
    ///
    /// # Errors
    /// `NotOwner` in a forked child; `Gone`.
    pub fn is_held(&self) -> Result<bool> {
        self.own()?;
        Ok(!self.grant.has_ended(&self.place)? && self.place.is_held(self.grant.id)?)
    }

    /// Lets a holding with a time limit end that long from now.
    ///
    /// # Errors
    /// `Lost` when it has ended before; `Invalid` for one without a time limit, and below 1 ms; `NotOwner` in a forked
    /// child; `Gone`.
    ///
    /// # Crash safety
    /// Killed at any instruction, the old or the new limit counts.
    #[doc(alias = "renew")]
    #[doc(alias = "refresh")]
    #[doc(alias = "keepalive")]
    pub fn extend(&self, ttl: Duration) -> Result<()> {
        self.own()?;
        if ttl < Duration::from_millis(1) {
            return Err(Error::new(ErrorKind::Invalid, format!("{}: a time limit is at least 1 ms", self.place)));
        }
        self.place.extend(self.grant.id, ttl)
    }

    /// Gives it back; `false` when it was lost before, by its time limit or by force.
    ///
    /// # Errors
    /// `NotOwner` in a forked child; `Gone`. `Unreachable` where no cluster answers: it is given back in the background as
    /// soon as one does, or ends with the session.
    ///
    /// # Crash safety
    /// Killed at any instruction, it is released or ends as if this process had died holding it.
    #[doc(alias = "unlock")]
    pub fn release(mut self) -> Result<bool> {
        self.own()?;
        self.is_over = true;
        self.place.release(&self.grant)
    }

    /// Lets children carry it on: a descriptor that they inherit, also over `exec`. Should this process be killed, whatever
    /// it holds on the store stays held as long as one of them has it open; noticed by looking, every 20 ms. While this
    /// process lives, only its guard counts: what it releases is released, whatever children do.
    ///
    /// Close it in this process as soon as the child is started: every child started until then inherits it too.
    ///
    /// # Errors
    /// `NotOwner` in a forked child; `Unsupported` by drivers without processes, and without the liveness thread.
    #[cfg(unix)]
    pub fn inheritable(&self) -> Result<std::os::fd::OwnedFd> {
        use crate::driver::Driver;
        self.own()?;
        self.place.store.driver.carry()
    }

    /// Keeps it held without a guard. What has a time limit or was taken for ever is given back with
    /// [`Lock::release_with`](super::Lock::release_with), from any process; what lives with this process ends with it.
    ///
    /// # Crash safety
    /// Killed at any instruction, it is held for as long as its lifetime says.
    #[doc(alias = "leak")]
    #[doc(alias = "forget")]
    pub fn keep(mut self) -> Token {
        self.is_over = true;
        if self.own().is_ok() {
            // Where this fails, the store is gone, and all holdings with it.
            let _ = self.place.forget_thread(self.grant.id);
        }
        self.token()
    }

    fn own(&self) -> Result<()> {
        if self.process == incarnation() {
            return Ok(());
        }
        let message = format!("{}: its guard belongs to the process that this one was forked from", self.place);
        Err(Error::new(ErrorKind::NotOwner, message))
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if !self.is_over && self.process == incarnation() {
            // Where this fails, the store is gone, or the holding ends with the process.
            let _ = self.place.release(&self.grant);
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("name", &self.place.name)
            .field("token", &self.token())
            .finish_non_exhaustive()
    }
}
