//! Leading, and being told when that is over.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    leader::Leader,
    take::Grant,
    term::{Revoked, Term},
    token::Token,
};
use crate::{
    driver::{Patience, incarnation, spawn_aside},
    error::{Error, ErrorKind, Result},
};

/// Leading a group; dropping it resigns. In a forked child it is inert: there it is revoked, and its calls answer
/// `NotOwner`.
#[must_use = "dropping it resigns"]
pub struct Leadership {
    leader: Leader,
    id: String,
    term: Arc<Term>,
    process: u64,
}

impl Leadership {
    pub(super) fn begin(leader: Leader, id: String, grant: Grant) -> Result<Self> {
        let term = Arc::new(Term::new(&leader, grant)?);
        let theirs = Arc::clone(&term);
        if let Err(error) = spawn_aside("shmsync-leader", move || theirs.look_after()) {
            let _ = term.resign();
            return Err(error);
        }
        Ok(Self { leader, id, term, process: incarnation() })
    }

    /// What this leader calls itself.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of this term, larger than that of every earlier leader; see [`Token`].
    #[doc(alias = "fencing_token")]
    pub fn token(&self) -> Token {
        self.term.grant.token.into()
    }

    /// Whether the leader before died: what it was about may be half done.
    pub fn previous_owner_died(&self) -> bool {
        self.term.grant.previous_owner_died
    }

    /// Whether the leadership is over. Without a system call; once `true`, it stays so.
    #[inline]
    pub fn is_revoked(&self) -> bool {
        self.process != incarnation() || self.term.is_over()
    }

    /// Waits for the end of the leadership, for at most that long; `None` when it goes on.
    ///
    /// # Errors
    /// `Stopped` through the leader's stop handle; `NotOwner` in a forked child.
    #[doc(alias = "revoked")]
    pub fn wait_revoked(&self, timeout: Option<Duration>) -> Result<Option<Revoked>> {
        self.own()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let patience = Patience { deadline, stop: Some(&self.leader.lock.stop) };
        loop {
            if let Some(why) = self.term.end() {
                return Ok(Some(why));
            }
            if !self.term.sleep(patience)? {
                return Ok(self.term.end());
            }
        }
    }

    /// Gives it up, where it is not over yet, and stands for election again under the same name.
    ///
    /// # Errors
    /// As [`Leader::elect`]; `NotOwner` in a forked child.
    ///
    /// # Crash safety
    /// As [`Leadership::resign`], then as [`Leader::elect`].
    #[doc(alias = "campaign")]
    pub fn re_elect(&mut self) -> Result<()> {
        self.resign()?;
        let next = self.leader.elect(&self.id)?;
        *self = next;
        Ok(())
    }

    /// Gives it up; `false` when it was over before. Twice is fine.
    ///
    /// # Errors
    /// `NotOwner` in a forked child.
    ///
    /// # Crash safety
    /// Killed at any instruction, it has resigned or died as the leader.
    #[doc(alias = "release")]
    pub fn resign(&self) -> Result<bool> {
        self.own()?;
        self.term.resign()
    }

    /// Lets children carry it on, as [`LockGuard::inheritable`](super::LockGuard::inheritable): should this process be
    /// killed, the leadership lasts as long as one of them has the descriptor open. Nobody renews a time limit then.
    ///
    /// # Errors
    /// As [`LockGuard::inheritable`](super::LockGuard::inheritable).
    #[cfg(unix)]
    pub fn inheritable(&self) -> Result<std::os::fd::OwnedFd> {
        use crate::driver::Driver;
        self.own()?;
        self.leader.lock.place.store.driver.carry()
    }

    fn own(&self) -> Result<()> {
        if self.process == incarnation() {
            return Ok(());
        }
        let message = format!("{}: the parent leads, not this forked child", self.leader.lock.place);
        Err(Error::new(ErrorKind::NotOwner, message))
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if self.process == incarnation() {
            // Where this fails, the store is gone.
            let _ = self.term.resign();
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("group", &self.leader.lock.place.name)
            .field("id", &self.id)
            .field("token", &self.token())
            .field("revoked", &self.term.end())
            .finish()
    }
}
