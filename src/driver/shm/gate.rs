//! The gate of `exclusive`: one word that says who has the store for itself.
//!
//! | bits | what |
//! |---|---|
//! | 0–12 | slot of the participant that closed it, plus 1; 0 = open |
//! | 13–30 | that participant's generation |
//! | 31–63 | grows each time the gate is closed or opened |
//!
//! Readers prove that the word did not change while they read. Writers look at it under their shard's lock; whoever
//! closes it passes once through every shard's lock before it is in, so that no write that had seen it open is still
//! under way (attack 46). A holder's own writes carry the word, and fail once it is another (attack 47).

use std::{
    num::NonZeroU64,
    sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst},
    time::{Duration, Instant},
};

use super::{attachment::Attachment, revision, wait::Sleep};
use crate::{
    broken::{self, Defect},
    driver::{Access, GateToken, OwnerId, Patience, Revision, Space},
    error::{Error, ErrorKind, Result},
    primitive::{allowance::Allowance, atomics::fence},
    region::{
        glance::Glance,
        layout::live::GATE,
        participants::{GENERATION_MASK, Name},
    },
    storage::{Key, Seized, Storage},
    sys::robust,
};

/// How long changes in the middle are waited for at least.
const SHORT: Duration = Duration::from_millis(100);
/// How long at most; also the longest restlessness of a gate, unless the caller has a limit.
const LIMIT: Duration = Duration::from_secs(5);
/// So often a gate is looked at before the time is looked at, too.
const ENOUGH: u32 = 16;
const HOLDER: u64 = (1 << 31) - 1;

fn holder(word: u64) -> Option<Name> {
    let slot = (word & 0x1fff) as u32;
    let generation = (word >> 13) as u32 & GENERATION_MASK;
    (slot != 0).then(|| Name { slot: slot - 1, generation })
}

fn next(word: u64, name: Option<Name>) -> u64 {
    let count = (word >> 31).wrapping_add(1) << 31;
    count | name.map_or(0, |name| u64::from(name.slot + 1) | u64::from(name.generation & GENERATION_MASK) << 13)
}

/// A gate that changes each time one looks: somebody writes garbage there, or closes and opens it without pause.
#[derive(Default)]
struct Restless(Option<Instant>);

impl Restless {
    /// How long it has been so, if that is as long as the caller waits, or long enough.
    #[cold]
    fn has_lasted(&mut self, access: &Access) -> Option<Duration> {
        let time = self.0.get_or_insert_with(Instant::now).elapsed();
        (time > access.limit.unwrap_or(LIMIT).max(SHORT)).then_some(time)
    }
}

impl Attachment {
    #[inline(always)]
    fn gate_word(&self) -> u64 {
        self.storage.memory.load(GATE, Acquire)
    }

    /// What nearly every read comes to: the store is still there, and what [`Attachment::read_plain`] does.
    #[inline(always)]
    pub(super) fn read_at_once(&self, space: Space, key: &str, into: &mut Vec<u8>) -> Option<NonZeroU64> {
        let storage = &*self.storage;
        let glance = storage.memory.glance()?;
        self.is_watched(glance)?;
        Self::read_plain(storage, glance, &storage.key(space, key.as_bytes()), into)
    }

    /// The gate is open all the time, and [`Storage::read_plain`] has an answer. `None`: who reads thoroughly finds out.
    #[inline(always)]
    fn read_plain(storage: &Storage, glance: Glance<'_>, key: &Key<'_>, into: &mut Vec<u8>) -> Option<NonZeroU64> {
        let (is_gated, word) = (key.space == Space::Values, glance.header().load(GATE, Acquire));
        if is_gated && word & HOLDER != 0 {
            return None;
        }
        let revision = storage.read_plain(glance, key, Some(into))?;
        storage.acquire_all();
        (!is_gated || glance.header().load(GATE, Acquire) == word).then_some(revision)
    }

    /// Every other read.
    #[cold]
    #[inline(never)]
    pub(super) fn read_thoroughly(
        &self,
        access: &Access,
        space: Space,
        key: &str,
        into: &mut Vec<u8>,
    ) -> Result<Option<Revision>> {
        self.check()?;
        let storage = &*self.storage;
        let key = storage.key(space, key.as_bytes());
        // Where no thread looks after the store's name, this is the way of all.
        let at_once = storage.memory.glance().and_then(|glance| Self::read_plain(storage, glance, &key, into));
        if let Some(number) = at_once {
            return Ok(Some(Revision(number)));
        }
        let seen = self.gated(access, key.space, || storage.read_thoroughly(&key, into))?;
        match seen {
            Some(seen) if self.storage.is_live(seen.life) => Ok(Some(revision(seen.revision))),
            _ => {
                into.clear();
                Ok(None)
            }
        }
    }

    /// Reads values through the gate.
    #[inline]
    pub(super) fn gated<T>(&self, access: &Access, space: Space, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        if space == Space::Coordination {
            return read();
        }
        let word = self.gate_word();
        if word & HOLDER == 0 {
            let answer = read()?;
            self.storage.acquire_all();
            if self.gate_word() == word {
                return Ok(answer);
            }
        }
        self.gated_closely(access, &mut read)
    }

    /// The same where somebody closes the gate, or has closed it.
    #[cold]
    fn gated_closely<T>(&self, access: &Access, read: &mut dyn FnMut() -> Result<T>) -> Result<T> {
        let (mut restless, mut waiting) = (Restless::default(), None);
        loop {
            let word = self.gate_word();
            if word & HOLDER != 0 && !self.is_in(access, word)? && !self.may_pass_the_dead(word) {
                self.wait_at_gate(access, &mut waiting)?;
                restless = Restless::default();
                continue;
            }
            let answer = read()?;
            self.storage.acquire_all();
            if self.storage.memory.load(GATE, Relaxed) == word {
                return Ok(answer);
            }
            if let Some(time) = restless.has_lasted(access) {
                return Err(self.still_locked(word, time));
            }
        }
    }

    /// Whether the caller has closed the gate itself.
    ///
    /// # Errors
    /// `NotOwner` in a forked child: it has its parent's token, but not its parent's right.
    fn is_in(&self, access: &Access, word: u64) -> Result<bool> {
        if access.gate != Some(GateToken(word)) {
            return Ok(false);
        }
        if holder(word) == Some(self.name()?) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::NotOwner,
            format!(
                "{}: exclusive access belongs to the process that this one was forked from; ask for it here",
                self.storage.path.display()
            ),
        ))
    }

    /// Who only reads cannot open the gate for a dead holder, but goes on as if it were open.
    #[cold]
    fn may_pass_the_dead(&self, word: u64) -> bool {
        self.is_read_only() && self.is_holder_dead(word)
    }

    fn is_holder_dead(&self, word: u64) -> bool {
        holder(word).is_none_or(|name| self.storage.participants().is_dead(name))
    }

    /// Whether a writer who holds a shard's lock may go on; else it lets go of the lock and waits.
    ///
    /// # Errors
    /// `Lost` when the caller had closed the gate and was forced out.
    #[inline(always)]
    pub(super) fn may_write(&self, access: &Access, space: Space) -> Result<bool> {
        if space == Space::Coordination {
            return Ok(true);
        }
        let word = self.gate_word();
        match access.gate {
            Some(_) if self.is_in(access, word)? => Ok(true),
            Some(_) => Err(Error::new(
                ErrorKind::Lost,
                format!(
                    "{}: exclusive access was taken away by force; nothing was written, ask for it again",
                    self.storage.path.display()
                ),
            )),
            None => Ok(word & HOLDER == 0),
        }
    }

    /// The same for nearly all: who has not closed the gate meets an open one.
    #[inline(always)]
    pub(super) fn may_write_at_once(&self, access: &Access, space: Space, seized: Seized<'_>) -> bool {
        space == Space::Coordination || access.gate.is_none() && seized.gate() & HOLDER == 0
    }

    /// Waits until the gate is open, or at most as long as the caller's limit says, counted from the first time that the same
    /// call had to wait.
    #[cold]
    pub(super) fn wait_at_gate(&self, access: &Access, since: &mut Option<Instant>) -> Result<()> {
        let start = *since.get_or_insert_with(Instant::now);
        let patience = Patience { deadline: access.limit.and_then(|limit| start.checked_add(limit)), stop: None };
        loop {
            let word = self.gate_word();
            if word & HOLDER == 0 {
                return Ok(());
            }
            self.refuse_own_thread(word)?;
            if self.may_pass_the_dead(word) {
                return Ok(());
            }
            if self.open_for_dead(word, start) {
                continue;
            }
            if !self.sleep_at_gate(word, patience)? {
                return Err(self.still_locked(word, start.elapsed()));
            }
            self.check()?;
        }
    }

    fn refuse_own_thread(&self, word: u64) -> Result<()> {
        let mine = self.gate.load(Acquire) == word && self.gate_thread.load(Acquire) == thread();
        if mine && self.me()?.name == holder(word).unwrap_or(Name { slot: 0, generation: 0 }) {
            return Err(Error::new(
                ErrorKind::Deadlock,
                format!(
                    "{}: this thread has exclusive access itself; go through the handle that it got",
                    self.storage.path.display()
                ),
            ));
        }
        Ok(())
    }

    fn open_for_dead(&self, word: u64, since: Instant) -> bool {
        let opens = !self.is_read_only() && self.is_holder_dead(word);
        if opens {
            let record = holder(word).and_then(|name| self.storage.participants().record(name.slot));
            let pid = record.map_or(0, |record| record.identity.pid);
            crate::trace::owner_died(&self.storage.path, pid, since.elapsed());
            let _ = self.replace_gate(word, next(word, None));
        }
        opens
    }

    fn replace_gate(&self, old: u64, new: u64) -> bool {
        let done = self.storage.memory.exchange(GATE, old, new).is_ok();
        if done {
            self.storage.gate_wait_word().notify();
        }
        done
    }

    fn sleep_at_gate(&self, word: u64, patience: Patience<'_>) -> Result<bool> {
        let mut sleep = Sleep::new(self, patience);
        let wait = self.storage.gate_wait_word();
        sleep.on(wait);
        if let Some(name) = holder(word) {
            sleep.on_life_of(name.slot);
        }
        // Dead by now, its liveness word changes no more.
        sleep.unless(|| Ok(self.gate_word() != word || self.is_holder_dead(word)))
    }

    fn still_locked(&self, word: u64, waited: Duration) -> Error {
        let name = self.storage.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let who = holder(word).and_then(|holder| self.storage.participants().record(holder.slot));
        let who = who.map_or("somebody".into(), |record| match record.label.as_str() {
            "" => format!("pid {}", record.identity.pid),
            label => format!("pid {} ({label})", record.identity.pid),
        });
        Error::new(
            ErrorKind::Locked,
            format!("Can't access {name:?}, still locked after {:.1} s by {who}", waited.as_secs_f64()),
        )
    }

    /// Closes the gate and waits until every write that had passed it is over.
    pub(super) fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        self.check()?;
        let (me, start, mut tries) = (self.name()?, Instant::now(), 0);
        loop {
            // A gate that is never at rest wakes nobody who sleeps, and lets nobody sleep.
            if tries > ENOUGH && patience.sleep(SHORT)?.is_none() {
                return Ok(None);
            }
            tries += 1;
            let word = self.gate_word();
            if word & HOLDER != 0 {
                self.refuse_own_thread(word)?;
                if !self.open_for_dead(word, start) && !self.sleep_at_gate(word, patience)? {
                    return Ok(None);
                }
                self.check()?;
                continue;
            }
            let closed = next(word, Some(me));
            if self.storage.memory.exchange(GATE, word, closed).is_err() {
                continue;
            }
            self.gate_thread.store(thread(), Release);
            self.gate.store(closed, Release);
            if let Err(error) = self.pass_through_locks(me, patience) {
                self.open_gate(GateToken(closed))?;
                return Err(error);
            }
            return Ok(Some(GateToken(closed)));
        }
    }

    /// Changes are short, so whoever only tries waits for them too; one that is stopped costs what patience is left.
    fn pass_through_locks(&self, me: Name, patience: Patience<'_>) -> Result<()> {
        if broken::has(Defect::WritersNotAwaited) {
            return Ok(());
        }
        fence(SeqCst);
        let left = patience.deadline.map_or(LIMIT, |end| end.saturating_duration_since(Instant::now()));
        let allowance = Allowance::new(left.clamp(SHORT, LIMIT));
        self.storage.shards().try_for_each(|shard| shard.lock(me, &allowance).map(drop))
    }

    pub(super) fn open_gate(&self, GateToken(word): GateToken) -> Result<bool> {
        // A forked child has its parent's token, but not its parent's right.
        if holder(word) != Some(self.name()?) {
            return Ok(false);
        }
        let _ = self.gate.compare_exchange(word, 0, Release, Relaxed);
        Ok(self.replace_gate(word, next(word, None)))
    }

    pub(super) fn force_gate(&self) -> Result<bool> {
        self.name()?;
        loop {
            let word = self.gate_word();
            if word & HOLDER == 0 {
                return Ok(false);
            }
            if self.replace_gate(word, next(word, None)) {
                return Ok(true);
            }
        }
    }

    pub(super) fn gate_holder(&self) -> Option<OwnerId> {
        let record = self.storage.participants().record(holder(self.gate_word())?.slot)?;
        Some(super::owner_id(record.number, record.slot))
    }
}

fn thread() -> u64 {
    u64::from(robust::thread_id())
}
