//! A memory store: its tables, their lock, and the register of the named ones.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::tables::Tables;
use crate::error::{Error, ErrorKind, Result};

/// No sleep is longer than this.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// How long a forked child waits for a lock that may have stayed behind with a thread of its parent.
const FORKED_LOCK_LIMIT: Duration = Duration::from_secs(1);

/// The named stores of this process. They stay until destroyed, as a region does.
static NAMED: LazyLock<Mutex<HashMap<String, Arc<World>>>> = LazyLock::new(Mutex::default);

/// The highest revision of any store destroyed so far, so that a new one of that name goes on above it.
static HIGHEST: AtomicU64 = AtomicU64::new(0);

/// A memory store, shared by its handles.
#[derive(Debug)]
pub(super) struct World {
    /// As given to `open`, with `memory:`.
    pub(super) name: String,
    /// Unlike an address, never another's later.
    pub(super) number: u64,
    created_by: u32,
    tables: Mutex<Tables>,
    changed: Condvar,
}

impl World {
    /// A store of nobody else.
    pub(super) fn private() -> Arc<Self> {
        Self::new("memory:".into())
    }

    fn new(name: String) -> Arc<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tables = Mutex::new(Tables::new(HIGHEST.load(Ordering::Relaxed)));
        Arc::new(Self { name, number, created_by: std::process::id(), tables, changed: Condvar::new() })
    }

    /// The store of that name; `None` if there is none and none was to be created.
    pub(super) fn named(name: &str, create: bool) -> Result<Option<Arc<Self>>> {
        let mut named = lock(&NAMED, false).ok_or_else(|| left_locked(name))?;
        if !named.contains_key(name) && create {
            named.insert(name.to_owned(), Self::new(format!("memory:{name}")));
        }
        Ok(named.get(name).cloned())
    }

    /// Takes the store out of the register and tells everybody.
    pub(super) fn destroy(self: &Arc<Self>) -> Result<()> {
        let mut named = lock(&NAMED, false).ok_or_else(|| left_locked(&self.name))?;
        let mut tables = self.lock()?;
        named.retain(|_, world| !Arc::ptr_eq(world, self));
        HIGHEST.fetch_max(tables.clock(), Ordering::Relaxed);
        tables.gone = true;
        self.wake_all();
        Ok(())
    }

    /// The tables, for one caller at a time. No code of users runs while they are held.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Tables>> {
        let held_by_the_living = || std::process::id() == self.created_by;
        let tables = match self.tables.try_lock() {
            Ok(tables) => tables,
            Err(_) => lock(&self.tables, held_by_the_living()).ok_or_else(|| left_locked(&self.name))?,
        };
        if tables.gone {
            let message = format!("store {:?} was destroyed: open it again to create a new one", self.name);
            return Err(Error::new(ErrorKind::Gone, message));
        }
        Ok(tables)
    }

    /// Sleeps until something changes, at most that long.
    pub(super) fn sleep<'a>(
        &'a self,
        tables: MutexGuard<'a, Tables>,
        limit: Duration,
    ) -> Result<MutexGuard<'a, Tables>> {
        let slept = self.changed.wait_timeout(tables, limit.min(LONGEST_SLEEP));
        let (tables, _) = slept.unwrap_or_else(PoisonError::into_inner);
        if tables.gone {
            let message = format!("store {:?} was destroyed while it was waited for", self.name);
            return Err(Error::new(ErrorKind::Gone, message));
        }
        Ok(tables)
    }

    /// Wakes everybody who sleeps.
    pub(super) fn wake_all(&self) {
        self.changed.notify_all();
    }
}

/// Locks for as long as it takes where the holder is surely a running thread. In a forked child it may be nobody: then
/// `None` after a while.
fn lock<T>(mutex: &Mutex<T>, held_by_the_living: bool) -> Option<MutexGuard<'_, T>> {
    if held_by_the_living {
        return Some(mutex.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let deadline = Instant::now() + FORKED_LOCK_LIMIT;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

fn left_locked(name: &str) -> Error {
    let message = format!("store {name:?} was in use by another thread when this process was forked: open another one");
    Error::new(ErrorKind::Locked, message)
}
