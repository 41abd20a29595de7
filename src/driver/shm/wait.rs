//! Sleeping until something changes: on wait words, on the lives of owners, on a stop, never without a bound.

use std::time::{Duration, Instant};

use super::attachment::Attachment;
use crate::{
    driver::{Patience, Revision, Space, State, Stop},
    error::Result,
    primitive::wait_word::WaitWord,
    storage::Life,
    sys::{
        clock,
        futex::{self, Word},
    },
};

/// The longest sleep of who is woken by everything that can happen.
const LONG: Duration = Duration::from_secs(2);
/// The longest sleep of who cannot sleep on several words at once.
const MEDIUM: Duration = Duration::from_millis(200);
/// The longest sleep of who is told of nothing and has to look.
pub(super) const SHORT: Duration = Duration::from_millis(20);
/// The kernel takes 128 words; a few are for stops and lives.
const MOST_WORDS: usize = 96;

/// A sleep that is being prepared.
pub(super) struct Sleep<'a> {
    attachment: &'a Attachment,
    patience: Patience<'a>,
    words: Vec<Word>,
    /// Whose deaths are waited for.
    slots: Vec<u32>,
    bound: Duration,
}

impl<'a> Sleep<'a> {
    pub(super) fn new(attachment: &'a Attachment, patience: Patience<'a>) -> Self {
        let bound = if attachment.is_read_only() { SHORT } else { LONG };
        Self { attachment, patience, words: Vec::new(), slots: Vec::new(), bound }
    }

    /// Wakes when this word is notified; what was looked at before must be looked at again, in [`Sleep::unless`].
    pub(super) fn on(&mut self, wait: WaitWord<'_>) {
        let prepared = wait.prepare();
        if let Some(pointer) = wait.futex() {
            self.words.push(Word::shared(pointer, prepared));
        }
    }

    /// Wakes when whoever has this slot dies; where nobody would tell, it looks often.
    pub(super) fn on_life_of(&mut self, slot: u32) {
        match self.attachment.storage.participants().life_of_entries(slot) {
            Some((pointer, alive)) if futex::has_wait_any() && self.words.len() < MOST_WORDS => {
                self.words.push(Word::shared(pointer, alive));
                self.slots.push(slot);
            }
            _ => self.bound = SHORT,
        }
    }

    /// Wakes at the latest then, in nanoseconds of the boot.
    fn until(&mut self, deadline: u64) {
        let left = Duration::from_nanos(deadline.saturating_sub(clock::boottime_ns()));
        self.at_most(left + Duration::from_micros(50));
    }

    /// Wakes at the latest after this time.
    pub(super) fn at_most(&mut self, left: Duration) {
        self.bound = self.bound.min(left);
    }

    /// Sleeps, unless it is so already or the store is gone. `false` when patience had run out before.
    pub(super) fn unless(mut self, so: impl FnOnce() -> Result<bool>) -> Result<bool> {
        if self.attachment.storage.is_gone() || so()? {
            return Ok(true);
        }
        let Some(timeout) = self.patience.sleep(self.bound)? else { return Ok(false) };
        if let Some(stop) = self.patience.stop {
            self.words.push(Word::private(stop.word().as_ptr(), 0));
        }
        match self.words.as_slice() {
            [] => std::thread::sleep(timeout.min(SHORT)),
            words => {
                futex::wait_any(words, timeout, if words.len() == 1 { timeout } else { MEDIUM });
            }
        }
        self.slots.iter().for_each(|slot| self.attachment.storage.participants().pass_on_death(*slot));
        Ok(true)
    }
}

/// A key, and its revision when it was seen last.
pub(super) type Seen<'a> = (Space, &'a str, Option<Revision>);

impl Attachment {
    /// Waits until a key is no longer as it was seen; `false` when patience ran out.
    pub(super) fn wait(&self, keys: &[Seen<'_>], patience: Patience<'_>) -> Result<bool> {
        self.check()?;
        let mut has_slept = false;
        loop {
            self.check_gone()?;
            if self.any_differs(keys)? {
                return Ok(true);
            }
            // Whoever is woken by a change has it before the system is asked for anything.
            if has_slept {
                self.check_name_now()?;
            }
            has_slept = true;
            let mut sleep = Sleep::new(self, patience);
            self.sleep_on_keys(&mut sleep, keys)?;
            if !sleep.unless(|| self.any_differs(keys))? {
                return Ok(false);
            }
        }
    }

    fn sleep_on_keys(&self, sleep: &mut Sleep<'_>, keys: &[Seen<'_>]) -> Result<()> {
        let storage = &self.storage;
        let mut waits: Vec<u64> = keys.iter().map(|(space, key, _)| storage.key(*space, key.as_bytes()).wait).collect();
        waits.sort_unstable();
        waits.dedup();
        if waits.len() > MOST_WORDS / 2 {
            sleep.on(storage.any_wait_word());
        } else {
            waits.iter().for_each(|wait| sleep.on(storage.wait_word(*wait)));
        }
        for (space, key, _) in keys {
            match storage.peek(&storage.key(*space, key.as_bytes()))?.map(|seen| seen.life) {
                Some(Life::Until(deadline)) => sleep.until(deadline),
                Some(Life::Owner { slot, .. }) => sleep.on_life_of(slot),
                _ => {}
            }
        }
        Ok(())
    }

    fn any_differs(&self, keys: &[Seen<'_>]) -> Result<bool> {
        for (space, key, seen) in keys {
            let now = self.storage.revision_of(&self.storage.key(*space, key.as_bytes()))?;
            if now != seen.map(Revision::get) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until anything has changed since; `false` when patience ran out.
    pub(super) fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        self.check()?;
        let mut has_slept = false;
        loop {
            self.check_gone()?;
            let changed = || Ok(self.storage.version() != seen);
            if changed()? {
                return Ok(true);
            }
            if has_slept {
                self.check_name_now()?;
            }
            has_slept = true;
            let mut sleep = Sleep::new(self, patience);
            sleep.on(self.storage.any_wait_word());
            // Who ends a change does not look for waiters again.
            if self.storage.is_changing() {
                sleep.at_most(SHORT);
            }
            if !sleep.unless(changed)? {
                return Ok(false);
            }
        }
    }

    /// Wakes who sleeps with this stop, in this process.
    pub(super) fn interrupt(&self, stop: &Stop) {
        futex::wake_private(stop.word().as_ptr(), u32::MAX >> 1);
    }

    /// The moment of the process's clock that a deadline of the boot means.
    pub(super) fn instant_of(deadline: u64) -> Instant {
        let (now, boot) = (Instant::now(), clock::boottime_ns());
        let far = Duration::from_secs(100 * 365 * 86_400);
        if deadline >= boot {
            now + Duration::from_nanos(deadline - boot).min(far)
        } else {
            now.checked_sub(Duration::from_nanos(boot - deadline)).unwrap_or(now)
        }
    }

    pub(super) fn state_of(&self, life: Life) -> State {
        self.storage.state(life)
    }
}
