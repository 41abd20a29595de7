//! Waiting for a lock on a thread aside, for who waits by polling descriptors.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    lock::Lock,
    place::Place,
    take::{Grant, Wanted},
};
use crate::{
    driver::{Driver, Patience, Signal, Stop, incarnation, spawn_aside},
    error::Result,
};

/// How often one who waits for the thread aside looks whether it was stopped.
const STEP: Duration = Duration::from_millis(20);

/// What a handle and its clones wait for in the background.
#[derive(Clone, Default)]
pub(super) struct Slot {
    current: Arc<Mutex<Option<Arc<Background>>>>,
    is_used: Arc<AtomicBool>,
}

impl Slot {
    /// Whether anybody ever asked for it.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Relaxed)
    }
}

/// A wait in the background, and what came of it.
pub(super) struct Background {
    place: Arc<Place>,
    process: u64,
    stop: Arc<Stop>,
    shared: Arc<Shared>,
}

struct Shared {
    outcome: Mutex<Outcome>,
    arrived: Condvar,
    signal: Signal,
}

enum Outcome {
    Waiting,
    Arrived(Result<Option<Grant>>),
    /// Nobody will take it.
    Over,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lock {
    /// A grant, within that limit.
    pub(super) fn obtain(&self, wanted: &Wanted, deadline: Option<Instant>) -> Result<Option<Grant>> {
        self.check(wanted)?;
        let patience = Patience { deadline, stop: Some(&self.stop) };
        if let Some(queued) = of(&self.background) {
            let grant = queued.take(patience)?;
            if grant.is_some() || !queued.is_over() {
                return Ok(grant);
            }
        }
        self.place.acquire(wanted, patience)
    }
}

/// What is waited for in this process, if anything.
pub(super) fn of(slot: &Slot) -> Option<Arc<Background>> {
    // A forked child may find it locked by a thread that it lacks; its parent's wait is not its own anyway.
    if !slot.is_used() {
        return None;
    }
    let slot = match slot.current.try_lock() {
        Ok(slot) => slot,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return None,
    };
    slot.clone().filter(|background| background.process == incarnation() && !background.is_over())
}

impl Background {
    /// Waits aside from now on, unless that is so already.
    pub(super) fn begin(slot: &Slot, place: &Arc<Place>, wanted: Wanted, stop: &Arc<Stop>) -> Result<Arc<Self>> {
        if let Some(running) = of(slot) {
            return Ok(running);
        }
        let outcome = Mutex::new(Outcome::Waiting);
        let shared = Arc::new(Shared { outcome, arrived: Condvar::new(), signal: Signal::new()? });
        let stop = Arc::clone(stop);
        let (theirs, their_stop, their_place) = (shared.clone(), stop.clone(), place.clone());
        spawn_aside("shmsync-waiter", move || wait_aside(&their_place, &wanted, &their_stop, &theirs))?;
        let background = Arc::new(Self { place: place.clone(), process: incarnation(), stop, shared });
        *locked(&slot.current) = Some(background.clone());
        slot.is_used.store(true, Relaxed);
        Ok(background)
    }

    /// A descriptor that is readable when taking would not block.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Result<std::os::fd::OwnedFd> {
        self.shared.signal.descriptor()
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*locked(&self.shared.outcome), Outcome::Over)
    }

    /// What came of it; waits for that as long as patience lasts.
    pub(super) fn take(&self, patience: Patience<'_>) -> Result<Option<Grant>> {
        let mut outcome = locked(&self.shared.outcome);
        while matches!(*outcome, Outcome::Waiting) {
            let Some(step) = patience.sleep(STEP)? else { return Ok(None) };
            outcome = self.shared.arrived.wait_timeout(outcome, step).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.shared.signal.lower();
        match std::mem::replace(&mut *outcome, Outcome::Over) {
            Outcome::Arrived(result) => result,
            // Another clone of the handle has taken it: this one begins anew.
            Outcome::Waiting | Outcome::Over => Ok(None),
        }
    }
}

fn wait_aside(place: &Place, wanted: &Wanted, stop: &Stop, shared: &Shared) {
    let result = place.acquire(wanted, Patience { deadline: None, stop: Some(stop) });
    let mut outcome = locked(&shared.outcome);
    if matches!(*outcome, Outcome::Waiting) {
        *outcome = Outcome::Arrived(result);
        shared.signal.raise();
        shared.arrived.notify_all();
    } else if let Ok(Some(grant)) = result {
        drop(outcome);
        let _ = place.release(&grant);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.process != incarnation() {
            return;
        }
        match std::mem::replace(&mut *locked(&self.shared.outcome), Outcome::Over) {
            // The last clone of the handle has gone, so nobody else waits with this stop.
            Outcome::Waiting => {
                self.stop.stop();
                self.place.store.driver.interrupt(&self.stop);
            }
            Outcome::Arrived(Ok(Some(grant))) => drop(self.place.release(&grant)),
            _ => {}
        }
    }
}
