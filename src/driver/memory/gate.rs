//! The gate of `exclusive`: while it is closed, only its closer passes.

use std::thread::{self, ThreadId};

use crate::{
    driver::{Access, GateToken, OwnerId},
    error::{Error, ErrorKind, Result},
};

/// Open, or closed by a thread of an owner.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    token: GateToken,
    owner: OwnerId,
    thread: ThreadId,
}

impl Gate {
    /// Whether the caller may pass now.
    ///
    /// # Errors
    /// `Lost` for a write of somebody who was forced out, `Deadlock` when this thread waits for itself.
    pub(super) fn passes(&self, access: &Access, writes: bool) -> Result<bool> {
        let current = self.closed.map(|closed| closed.token);
        if access.gate.is_some() && access.gate == current {
            return Ok(true);
        }
        if writes && access.gate.is_some() {
            let message = "exclusive access was forced open in the meantime, nothing was changed: take it again";
            return Err(Error::new(ErrorKind::Lost, message));
        }
        self.refuse_own_thread()?;
        Ok(current.is_none())
    }

    /// Closes the gate, unless it is closed.
    pub(super) fn close(&mut self, owner: OwnerId) -> Result<Option<GateToken>> {
        self.refuse_own_thread()?;
        if self.closed.is_some() {
            return Ok(None);
        }
        self.last += 1;
        let token = GateToken(self.last);
        self.closed = Some(Closed { token, owner, thread: thread::current().id() });
        Ok(Some(token))
    }

    /// Opens the gate if that token closed it.
    pub(super) fn open(&mut self, token: GateToken) -> bool {
        self.closed.take_if(|closed| closed.token == token).is_some()
    }

    /// Opens the gate; tells whether it was closed.
    pub(super) fn force(&mut self) -> bool {
        self.closed.take().is_some()
    }

    pub(super) fn owner_died(&mut self, owner: OwnerId) {
        self.closed.take_if(|closed| closed.owner == owner);
    }

    pub(super) fn holder(&self) -> Option<OwnerId> {
        self.closed.map(|closed| closed.owner)
    }

    fn refuse_own_thread(&self) -> Result<()> {
        if self.closed.is_some_and(|closed| closed.thread == thread::current().id()) {
            let message =
                "this thread holds exclusive access itself and would wait for ever: use the `Exclusive` guard";
            return Err(Error::new(ErrorKind::Deadlock, message));
        }
        Ok(())
    }
}
