//! Named locks and semaphores, as users hold them.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    background::{Background, Slot},
    lock_guard::LockGuard,
    owner::LockState,
    owner_process::OwnerProcess,
    place::{LockKind, Place},
    record::Span,
    take::{Template, Wanted},
    token::Token,
    who::{Who, check_label},
};
use crate::{
    StopHandle, Sync,
    driver::{Patience, Stop, thread_number},
    error::{Error, ErrorKind, Result},
};

/// Shorter time limits make no sense: noticing takes longer.
const SHORTEST: Duration = Duration::from_millis(1);

/// A named lock or semaphore: only a handle, nothing is held before [`Lock::acquire`].
///
/// Locks are handed over in order of arrival. A holding ends when its guard is dropped, when its process is dead (the
/// kernel tells), or as [`ttl`](Lock::ttl) and [`forever`](Lock::forever) say; a process that only stands still keeps
/// its lock. Locks of the same name in different namespaces, and a value of the same name, have nothing to do with it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use shmsync::{LockState, Sync};
///
/// let store = Sync::open("memory:")?;
/// let deploy = store.lock("deploy")?;
/// let guard = deploy.acquire()?;
/// assert!(matches!(deploy.state()?, LockState::Held(owner) if owner.pid == std::process::id()));
/// drop(guard);
/// assert_eq!(deploy.state()?, LockState::Free);
///
/// // Three may at once; the fourth is told no.
/// let workers = store.semaphore("workers", 3)?;
/// let held: Vec<_> = (0..3).map(|_| workers.acquire()).collect::<Result<_, _>>()?;
/// std::thread::scope(|scope| {
///     let fourth = scope.spawn(|| workers.acquire_timeout(Duration::from_millis(20)).map(drop));
///     assert_eq!(fourth.join().unwrap().unwrap_err().kind(), shmsync::ErrorKind::Timeout);
/// });
/// # drop(held);
/// # Ok::<(), shmsync::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "only a handle: call acquire()"]
pub struct Lock {
    pub(super) place: Arc<Place>,
    pub(super) wanted: Wanted,
    pub(super) stop: Arc<Stop>,
    pub(super) background: Slot,
    /// What was written the last time, as long as the options are the same.
    template: OnceLock<Template>,
}

impl Sync {
    /// The lock of that name, held or not. Nothing is created before it is taken.
    ///
    /// # Errors
    /// `Invalid` for a name that is empty, longer than 255 bytes, or has control characters.
    #[doc(alias = "mutex")]
    #[doc(alias = "flock")]
    pub fn lock(&self, name: &str) -> Result<Lock> {
        Ok(Lock::new(Place::new(self, LockKind::Lock, name, 1)?))
    }

    /// The semaphore of that name, which so many may hold at once. Its first use fixes their number.
    ///
    /// # Errors
    /// As [`Sync::lock`]; `Invalid` for no permits; `Mismatch` when it was used with another number, which the message
    /// names.
    #[doc(alias = "limiter")]
    pub fn semaphore(&self, name: &str, permits: u32) -> Result<Lock> {
        if permits == 0 {
            let message = format!("semaphore {name:?}: with no permits nobody could ever have it, give at least 1");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let place = Place::new(self, LockKind::Semaphore, name, permits)?;
        place.look()?;
        Ok(Lock::new(place))
    }
}

impl Lock {
    pub(super) fn new(place: Place) -> Self {
        let (stop, background) = (Arc::default(), Slot::default());
        Self { place: Arc::new(place), wanted: Wanted::default(), stop, background, template: OnceLock::new() }
    }

    /// Ends the holding that long after it was taken (at least 1 ms), whatever becomes of its process; dropping the
    /// guard ends it earlier, [`LockGuard::extend`] later. Suspended time counts.
    #[doc(alias = "lease")]
    #[doc(alias = "expires")]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|wanted| {
            wanted.span = Span::Ttl(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
            wanted.ttl = Some(ttl);
        })
    }

    /// Keeps the holding until it is released or forced, whatever becomes of its process.
    #[doc(alias = "persistent")]
    pub fn forever(self) -> Self {
        self.with(|wanted| {
            wanted.span = Span::Forever;
            wanted.ttl = None;
        })
    }

    /// Shares the lock with all others who share it; who wants it alone waits for all of them. Served in order of
    /// arrival: who shares does not overtake who wants it alone.
    #[doc(alias = "read")]
    #[doc(alias = "reader")]
    pub fn shared(self) -> Self {
        self.with(|wanted| wanted.shared = true)
    }

    /// Keeps others out for at least that long from taking it, even where it is released or its owner dies earlier: for
    /// what is to run once in a while, on clocks that differ.
    #[doc(alias = "debounce")]
    pub fn hold_at_least(self, time: Duration) -> Self {
        self.with(|wanted| wanted.minimum = Some(time))
    }

    /// What others read about this holder, instead of the label of the store's handle.
    #[doc(alias = "name")]
    pub fn label(self, label: &str) -> Self {
        self.with(|wanted| wanted.label = Some(label.to_owned()))
    }

    /// Holds for another process: `state` tells that one, and says `Orphaned` once it has ended. The holding itself
    /// stays then, until somebody [releases](Lock::release_owned) or forces it; needs [`Lock::ttl`] or
    /// [`Lock::forever`].
    pub fn on_behalf_of(self, owner: &OwnerProcess) -> Self {
        let who = Who { process: owner.name.clone(), label: owner.label.clone() };
        self.with(|wanted| wanted.owner = Some(who))
    }

    /// Ends the holding when the process it is held for has ended; noticed by looking, within 25 ms by who waits.
    pub fn die_with_owner(self) -> Self {
        self.with(|wanted| wanted.dies_with_owner = true)
    }

    /// Takes the lock; waits for its turn as long as it takes.
    ///
    /// # Errors
    /// `Deadlock` when this thread holds it already; `Invalid` for options that do not go together; `Mismatch` for
    /// another number of permits; `Stopped` through the stop handle; `Permission` on a read-only handle; `Full`; `Gone`.
    ///
    /// # Crash safety
    /// Killed before it holds, it leaves a place in the queue that ends with it. Killed while it holds, the next in the
    /// queue has it within the bound and is [told](LockGuard::previous_owner_died).
    #[doc(alias = "lock")]
    pub fn acquire(&self) -> Result<LockGuard> {
        self.take(None)?.ok_or_else(|| self.timed_out())
    }

    /// Takes the lock if that is possible at once; `None` when others hold it or wait for it.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    #[doc(alias = "try_lock")]
    pub fn try_acquire(&self) -> Result<Option<LockGuard>> {
        self.take(Some(Instant::now()))
    }

    /// As [`Lock::acquire`], for at most that long.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; `Timeout`, which names the holder. Nothing is left behind then.
    #[doc(alias = "lock_timeout")]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<LockGuard> {
        self.take(Instant::now().checked_add(timeout))?.ok_or_else(|| self.timed_out())
    }

    /// As [`Lock::acquire`], until that moment.
    ///
    /// # Errors
    /// As [`Lock::acquire_timeout`].
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<LockGuard> {
        self.take(Some(deadline))?.ok_or_else(|| self.timed_out())
    }

    /// Returns when whoever holds the lock now no longer does: released, expired or dead, even if somebody else has it
    /// by then. At once when it is free; takes and creates nothing. Of a semaphore: when a permit is free, or one that
    /// was taken has become free.
    ///
    /// # Errors
    /// `Deadlock` when this thread itself holds it, without a time limit; `Stopped` through the stop handle; `Gone`.
    #[doc(alias = "join")]
    pub fn wait(&self) -> Result<()> {
        self.place.wait_end(Patience { deadline: None, stop: Some(&self.stop) }).map(drop)
    }

    /// As [`Lock::wait`], for at most that long; whether it came to it. Also this thread's own holding may be waited
    /// for: another one may end it.
    ///
    /// # Errors
    /// `Stopped` through the stop handle; `Gone`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now().checked_add(timeout);
        self.place.wait_end(Patience { deadline, stop: Some(&self.stop) })
    }

    /// As [`Lock::wait_timeout`], until that moment.
    ///
    /// # Errors
    /// As [`Lock::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.place.wait_end(Patience { deadline: Some(deadline), stop: Some(&self.stop) })
    }

    /// Whether it is held, and by whom.
    ///
    /// # Errors
    /// `Gone`; `Corrupt`.
    #[doc(alias = "is_locked")]
    #[doc(alias = "status")]
    pub fn state(&self) -> Result<LockState> {
        self.place.state()
    }

    /// Gives back the holding with that token, from whatever process; `false` when there is none, or none any more.
    ///
    /// # Errors
    /// `Permission` on a read-only handle; `Gone`; `Corrupt`.
    ///
    /// # Crash safety
    /// Killed at any instruction, the holding is there or released.
    #[doc(alias = "unlock")]
    pub fn release_with(&self, token: Token) -> Result<bool> {
        self.place.release_where(|holding| holding.token == token.get())
    }

    /// Gives back what is held for one of these processes, or for one that has ended since; `false` when there is
    /// nothing of that kind.
    ///
    /// # Errors
    /// As [`Lock::release_with`].
    ///
    /// # Crash safety
    /// Killed at any instruction, each of them is held or it is not.
    pub fn release_owned(&self, owners: &[OwnerProcess]) -> Result<bool> {
        let look = self.place.look()?;
        for holding in &look.record.holdings {
            let is_theirs = owners.iter().any(|owner| owner.is(&holding.who));
            let was_left = matches!(self.place.seen(holding)?.0, super::owner::Seen::Orphaned);
            if is_theirs || was_left {
                let id = holding.id;
                let released = self.place.release_where(|holding| holding.id == id)?;
                return Ok(released || was_left);
            }
        }
        Ok(false)
    }

    /// Frees the lock whoever holds it, all holders of it; `false` when it was free. The next in the queue has it then,
    /// who [waits](Lock::wait) returns, and the old owner learns it: [`is_held`](LockGuard::is_held) is `false`,
    /// releasing answers `false`, extending fails with `Lost`.
    ///
    /// # Errors
    /// `Permission` on a read-only handle; `Gone`.
    ///
    /// # Crash safety
    /// Killed at any instruction, all holders have it still, or none.
    #[doc(alias = "break_lock")]
    #[doc(alias = "unlock")]
    pub fn force_release(&self) -> Result<bool> {
        self.place.force()
    }

    /// What ends the waits of this handle and its clones from elsewhere; they fail with `Stopped`.
    #[doc(alias = "cancel")]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.place.store.driver.clone(), self.stop.clone())
    }

    /// Waits for its turn in the background from now on, with this handle's options. The answer is an eventfd, readable
    /// when [`Lock::acquire`] or [`Lock::try_acquire`] on this handle or a clone would not block: they take what was
    /// granted. When the last clone is dropped without, it is given back.
    ///
    /// Tasks of one thread may wait for each other, so nobody is told of a deadlock here.
    ///
    /// # Errors
    /// `Unsupported` where there is no eventfd; `Io` when there is no descriptor or no thread left; `Invalid` as
    /// [`Lock::acquire`].
    #[cfg(unix)]
    #[doc(alias = "as_raw_fd")]
    pub fn notify_fd(&self) -> Result<std::os::fd::OwnedFd> {
        let wanted = self.wanted.clone();
        self.check(&wanted)?;
        Background::begin(&self.background, &self.place, wanted, &self.stop)?.descriptor()
    }

    fn take(&self, deadline: Option<Instant>) -> Result<Option<LockGuard>> {
        let thread = thread_number();
        let guard = |grant| LockGuard::new(self.place.clone(), grant);
        if let Some(template) = self.template.get()
            && !self.stop.is_stopped()
            && !self.background.is_used()
            && let Some(grant) = self.place.take_again(template, thread)?
        {
            return Ok(Some(guard(grant)));
        }
        let wanted = Wanted { thread, ..self.wanted.clone() };
        let grant = self.obtain(&wanted, deadline)?;
        // In a forked child there is one that is of no use to it.
        if grant.is_some()
            && self.template.get().is_none()
            && let Ok(Some(template)) = self.place.template(&self.wanted)
        {
            let _ = self.template.set(template);
        }
        Ok(grant.map(guard))
    }

    fn with(mut self, change: impl FnOnce(&mut Wanted)) -> Self {
        change(&mut self.wanted);
        self.template = OnceLock::new();
        self
    }

    pub(super) fn check(&self, wanted: &Wanted) -> Result<()> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Invalid, format!("{}: {what}", self.place)));
        if wanted.ttl.is_some_and(|ttl| ttl < SHORTEST) {
            return wrong("a time limit is at least 1 ms");
        }
        if wanted.shared && self.place.kind == LockKind::Semaphore {
            return wrong("a semaphore cannot be shared, it has permits");
        }
        if wanted.owner.is_some() && wanted.span == Span::Process {
            return wrong("what is held for another process needs ttl() or forever(): this process may end first");
        }
        wanted.label.as_deref().map_or(Ok(()), check_label)
    }

    pub(super) fn timed_out(&self) -> Error {
        let place = &self.place;
        let message = match self.state() {
            Ok(LockState::Held(owner)) => format!("{place}: still held by {owner}"),
            Ok(LockState::Orphaned(owner)) => format!("{place}: still held for {owner}, which has ended: free it"),
            Ok(LockState::Free) => format!("{place}: free just now, or others wait for it: try again"),
            Err(error) => return error,
        };
        Error::new(ErrorKind::Timeout, message)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("kind", &self.place.kind).field("name", &self.place.name).finish_non_exhaustive()
    }
}
