//! The whole store for one thread.

use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    process,
    time::{Duration, Instant},
};

use super::Sync;
use crate::{
    driver::{Access, Driver, GateToken, Patience},
    error::{Error, ErrorKind, Result},
};

/// Exclusive access to all values and integers of a store; made by [`Sync::exclusive`], ended by dropping it.
///
/// It is used as the handle it came from. It stays in its thread, because that thread is refused through other handles
/// instead of waiting for itself.
#[must_use = "the store is open again as soon as this is dropped"]
pub struct Exclusive {
    store: Sync,
    token: GateToken,
    process: u32,
    /// Not `Send`.
    thread: PhantomData<*const ()>,
}

impl Sync {
    /// Makes all others' calls on values and integers of the store wait, namespaces included, until the answer is
    /// dropped. Locks and their like are not touched.
    ///
    /// Waits for its turn as long as it takes. The others wait up to their own
    /// [limit](super::Options::access_limit), then they get `Locked`. A holder that dies blocks nobody.
    ///
    /// # Errors
    /// `Deadlock` when this thread has it already; `Locked` when somebody has been stopped in the middle of a change for
    /// 5 s; `Permission` on a read-only handle; `Unsupported` by the driver; `Gone`.
    ///
    /// # Crash safety
    /// Killed while holding it, the store is open again as soon as others notice. What was written until then stays.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// let exclusive = store.exclusive()?;
    /// let n = exclusive.get_or("n", 0)?;
    /// exclusive.set("n", &(n + 1))?;
    /// // Through another handle this thread would wait for itself:
    /// assert_eq!(store.get::<i32>("n").unwrap_err().kind(), shmsync::ErrorKind::Deadlock);
    /// drop(exclusive);
    /// assert_eq!(store.get("n")?, Some(1));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "lock_all")]
    #[doc(alias = "flock")]
    pub fn exclusive(&self) -> Result<Exclusive> {
        self.close_gate(Patience::FOREVER)?.ok_or_else(|| self.not_exclusive(Duration::MAX))
    }

    /// As [`Sync::exclusive`], with one try: `None` when somebody else has it, or has been in the middle of a change for
    /// 0.1 s.
    ///
    /// # Errors
    /// As [`Sync::exclusive`], but not `Locked`.
    pub fn try_exclusive(&self) -> Result<Option<Exclusive>> {
        match self.close_gate(Patience::none()) {
            // Somebody is stopped in the middle of a change, or the machine is busy: not now.
            Err(error) if error.kind() == ErrorKind::Locked => Ok(None),
            result => result,
        }
    }

    /// As [`Sync::exclusive`], for at most that long.
    ///
    /// # Errors
    /// As [`Sync::exclusive`], but `Locked` after that time (after 0.1 s at least); `Timeout`, which names the holder.
    pub fn exclusive_timeout(&self, timeout: Duration) -> Result<Exclusive> {
        self.close_gate(Patience::lasting(timeout))?.ok_or_else(|| self.not_exclusive(timeout))
    }

    /// As [`Sync::exclusive`], until that moment.
    ///
    /// # Errors
    /// As [`Sync::exclusive_timeout`].
    pub fn exclusive_deadline(&self, deadline: Instant) -> Result<Exclusive> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.close_gate(Patience::until(deadline))?.ok_or_else(|| self.not_exclusive(timeout))
    }

    /// Ends the exclusive access of whoever has it; `false` when nobody has. What that holder commits afterwards fails
    /// with `Lost`.
    ///
    /// # Errors
    /// `Permission` on a read-only handle; `Gone`.
    ///
    /// # Crash safety
    /// Killed at any instruction, the store is open or as it was.
    #[doc(alias = "break_lock")]
    pub fn force_open(&self) -> Result<bool> {
        self.writable()?;
        self.driver.force_gate()
    }

    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<Exclusive>> {
        self.writable()?;
        let Some(token) = self.driver.close_gate(patience)? else { return Ok(None) };
        let store = self.with_access(Access { gate: Some(token), ..self.access });
        Ok(Some(Exclusive { store, token, process: process::id(), thread: PhantomData }))
    }

    fn not_exclusive(&self, timeout: Duration) -> Error {
        let holder = self.driver.gate_holder().ok().flatten();
        let participants = self.participants().unwrap_or_default();
        let holder = participants.iter().find(|participant| Some(participant.id) == holder);
        let holder = holder.map_or("somebody else".to_owned(), ToString::to_string);
        let (name, seconds) = (self.name(), timeout.as_secs_f64());
        let message = format!("no exclusive access to {name:?} within {seconds:.1} s, it is with {holder}");
        Error::new(ErrorKind::Timeout, message)
    }
}

impl Deref for Exclusive {
    type Target = Sync;

    fn deref(&self) -> &Sync {
        &self.store
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // A forked child has a copy of this, but not the access.
        if process::id() == self.process {
            // Where this fails, the store is gone, or somebody else has opened it.
            let _ = self.store.driver.open_gate(self.token);
        }
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exclusive").field(&self.store).finish()
    }
}
