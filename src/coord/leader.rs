//! One of many leads: election, and who leads now.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    follow::Follow,
    leadership::Leadership,
    lock::Lock,
    owner::Owner,
    place::{LockKind, Place},
    take::{Grant, Wanted},
    token::Token,
    who::check_label,
};
use crate::{
    StopHandle, Sync,
    driver::thread_number,
    error::{Error, ErrorKind, Result},
};

/// A group in which at most one leads; only a handle, nobody is elected before [`Leader::elect`].
///
/// Groups do not know each other. A leader leads until it resigns, is [forced out](Leader::force_resign), or its process is
/// dead; with [`ttl`](Leader::ttl) also when it did not renew in time, as a process that stands still.
///
/// # Examples
/// ```
/// let store = shmsync::Sync::open("memory:")?;
/// let group = store.leader("scheduler")?;
/// let leadership = group.elect("web1")?;
/// assert_eq!(group.current()?.map(|candidate| candidate.id).as_deref(), Some("web1"));
/// assert!(group.try_elect("web2")?.is_none());
/// assert!(leadership.resign()? && leadership.is_revoked());
/// assert!(group.try_elect("web2")?.is_some());
/// # Ok::<(), shmsync::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "only a handle: call elect()"]
pub struct Leader {
    pub(super) lock: Lock,
}

/// Who leads a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// What it calls itself.
    pub id: String,
    /// The number of its term, larger than that of every earlier one.
    pub token: Token,
    /// Its process.
    pub owner: Owner,
}

impl Sync {
    /// The group of that name, whether somebody leads it or not.
    ///
    /// # Errors
    /// As [`Sync::lock`].
    #[doc(alias = "election")]
    #[doc(alias = "campaign")]
    pub fn leader(&self, group: &str) -> Result<Leader> {
        Ok(Leader { lock: Lock::new(Place::new(self, LockKind::Leader, group, 1)?) })
    }
}

impl Leader {
    /// Ends a leadership that was not renewed for that long (at least 10 ms). It renews itself on a quiet thread each
    /// third of it; a process that stands still longer loses it.
    #[doc(alias = "lease")]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.lock = self.lock.ttl(ttl);
        self
    }

    /// What others read about this candidate's process, instead of the label of the store's handle.
    pub fn label(mut self, label: &str) -> Self {
        self.lock = self.lock.label(label);
        self
    }

    /// Stands for election under that name, and leads when it is its turn.
    ///
    /// # Errors
    /// `Deadlock` when this thread leads already; `Invalid` for an empty or long name and a time limit below 10 ms;
    /// `Stopped` through the stop handle; `Permission` on a read-only handle; `Full`; `Gone`.
    ///
    /// # Crash safety
    /// As [`Lock::acquire`]: a candidate that dies leaves the queue, a leader that dies is followed by the next.
    #[doc(alias = "campaign")]
    #[doc(alias = "acquire")]
    pub fn elect(&self, id: &str) -> Result<Leadership> {
        self.stand(id, None)?.ok_or_else(|| self.lock.timed_out())
    }

    /// As [`Leader::elect`], with one try: `None` when another leads or others wait to.
    ///
    /// # Errors
    /// As [`Leader::elect`], but for `Deadlock`: this thread may lead already.
    pub fn try_elect(&self, id: &str) -> Result<Option<Leadership>> {
        self.stand(id, Some(Instant::now()))
    }

    /// As [`Leader::elect`], for at most that long.
    ///
    /// # Errors
    /// As [`Leader::elect`], but for `Deadlock`; `Timeout`, which names the leader.
    pub fn elect_timeout(&self, id: &str, timeout: Duration) -> Result<Leadership> {
        self.stand(id, Instant::now().checked_add(timeout))?.ok_or_else(|| self.lock.timed_out())
    }

    /// As [`Leader::elect`], until that moment.
    ///
    /// # Errors
    /// As [`Leader::elect_timeout`].
    pub fn elect_deadline(&self, id: &str, deadline: Instant) -> Result<Leadership> {
        self.stand(id, Some(deadline))?.ok_or_else(|| self.lock.timed_out())
    }

    /// Who leads now; `None` when nobody does, also when the leader has died and nobody followed yet.
    ///
    /// # Errors
    /// `Gone`; `Corrupt`.
    #[doc(alias = "leader")]
    #[doc(alias = "observe")]
    pub fn current(&self) -> Result<Option<Candidate>> {
        self.lock.place.candidate()
    }

    /// The leaders from now on, the present one first.
    ///
    /// # Errors
    /// `Gone`.
    #[doc(alias = "observe")]
    #[doc(alias = "watch")]
    pub fn follow(&self) -> Result<Follow> {
        self.lock.place.look()?;
        Ok(Follow::new(&self.lock))
    }

    /// Ends the leadership of whoever has it; `false` when nobody leads. It is [told](Leadership::wait_revoked).
    ///
    /// # Errors
    /// As [`Lock::force_release`].
    ///
    /// # Crash safety
    /// Killed at any instruction, the leader still leads or nobody does.
    #[doc(alias = "depose")]
    pub fn force_resign(&self) -> Result<bool> {
        self.lock.force_release()
    }

    /// What ends the waits of this handle, its clones and leaderships from elsewhere; they fail with `Stopped`.
    #[doc(alias = "cancel")]
    pub fn stop_handle(&self) -> StopHandle {
        self.lock.stop_handle()
    }

    /// Stands for election under that name in the background. The answer is an eventfd, readable when
    /// [`Leader::elect`] on this handle or a clone would not block: it takes what was granted.
    ///
    /// # Errors
    /// As [`Lock::notify_fd`], and `Invalid` as [`Leader::elect`].
    #[cfg(unix)]
    pub fn notify_fd(&self, id: &str) -> Result<std::os::fd::OwnedFd> {
        let wanted = Wanted { thread: 0, ..self.wanted(id, None)? };
        self.lock.check(&wanted)?;
        let lock = &self.lock;
        super::background::Background::begin(&lock.background, &lock.place, wanted, &lock.stop)?.descriptor()
    }

    fn stand(&self, id: &str, deadline: Option<Instant>) -> Result<Option<Leadership>> {
        let wanted = self.wanted(id, deadline)?;
        let grant = self.lock.obtain(&wanted, deadline)?;
        grant.map(|grant| self.lead(id, grant)).transpose()
    }

    pub(super) fn wanted(&self, id: &str, deadline: Option<Instant>) -> Result<Wanted> {
        if id.is_empty() {
            let message = format!("{}: a candidate has no name: give it at least one letter", self.lock.place);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        check_label(id)?;
        if self.lock.wanted.ttl.is_some_and(|ttl| ttl < Duration::from_millis(10)) {
            let message =
                format!("{}: nobody renews so often, give it a time limit of at least 10 ms", self.lock.place);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Wanted {
            candidate: id.to_owned(),
            thread: thread_number(),
            // Whoever only tries, or waits for a while, may stand twice: the leadership can be resigned elsewhere.
            may_wait_for_itself: deadline.is_some(),
            ..self.lock.wanted.clone()
        })
    }

    pub(super) fn lead(&self, id: &str, grant: Grant) -> Result<Leadership> {
        Leadership::begin(self.clone(), id.to_owned(), grant)
    }
}

impl Place {
    /// Whoever leads and is alive.
    pub(super) fn candidate(&self) -> Result<Option<Candidate>> {
        let look = self.look()?;
        for holding in &look.record.holdings {
            if self.standing(holding)?.end.is_none() && !holding.released {
                let owner = self.owner_of(holding)?;
                return Ok(Some(Candidate { id: holding.candidate.clone(), token: owner.token, owner }));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").field("group", &self.lock.place.name).finish_non_exhaustive()
    }
}
