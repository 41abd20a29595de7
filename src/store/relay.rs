//! A watch on a thread aside, for who waits by polling descriptors.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::watch::{Change, Watch};
use crate::{
    driver::{Patience, Signal, incarnation, spawn_aside},
    error::{Error, ErrorKind, Result},
};

/// What a watch on a thread aside has seen. One change is kept, so that later ones are still coalesced.
pub(super) struct Relay {
    shared: Arc<Shared>,
    process: u64,
}

struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
    signal: Signal,
}

#[derive(Default)]
struct Slot {
    change: Option<Result<Change>>,
    /// The watch has ended: no more will come.
    ended: bool,
    /// Nobody asks any more.
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// Follows that watch aside.
    pub(super) fn begin(watch: Watch) -> Result<Self> {
        let (slot, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { slot, changed, signal: Signal::new()? });
        let theirs = shared.clone();
        spawn_aside("shmsync-watcher", move || pass_on(watch, &theirs))?;
        Ok(Self { shared, process: incarnation() })
    }

    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Result<std::os::fd::OwnedFd> {
        self.shared.signal.descriptor()
    }

    /// The next change; `None` when patience ran out.
    pub(super) fn next(&self, patience: Patience<'_>) -> Result<Option<Change>> {
        if self.process != incarnation() {
            let message = "this watch goes on in the process that this one was forked from: make another one";
            return Err(Error::new(ErrorKind::NotOwner, message));
        }
        let mut slot = self.shared.lock();
        loop {
            if let Some(change) = slot.change.take() {
                if !slot.ended {
                    self.shared.signal.lower();
                }
                self.shared.changed.notify_all();
                return change.map(Some);
            }
            if slot.ended {
                return Err(Error::new(ErrorKind::Stopped, "the watch was stopped through its stop handle"));
            }
            let Some(time) = patience.sleep(std::time::Duration::from_secs(2))? else { return Ok(None) };
            slot = self.shared.changed.wait_timeout(slot, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The life of the thread aside.
fn pass_on(watch: Watch, shared: &Shared) {
    for change in watch {
        let mut slot = shared.lock();
        while slot.change.is_some() && !slot.closed {
            slot = shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        if slot.closed {
            return;
        }
        slot.change = Some(change);
        shared.signal.raise();
        shared.changed.notify_all();
    }
    let mut slot = shared.lock();
    slot.ended = true;
    shared.signal.raise();
    shared.changed.notify_all();
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.process == incarnation() {
            self.shared.lock().closed = true;
            self.shared.changed.notify_all();
        }
    }
}
