//! Overwriting a few records together, each in a shard of its own: what most transactions come to, by the shortest way.
//!
//! It does what [`Storage::transact`] does, and leaves the same words behind at each step, so that readers and whoever recovers
//! need not know of it. Everything that can go wrong goes wrong before the first intent is written down, and nothing has to be
//! undone then: new records lie in blocks that are only borrowed, as in [`super::swift`].

use std::sync::atomic::Ordering::{Release, SeqCst};

use super::{
    Key, Storage,
    part::{COMMITTED, Entry, PREPARED, Single, Tag},
    shard::{HEADER_PART, INTENT, Intent, PART, TXN, TXN_SHARDS},
    slot::Slot,
    swift::{Ready, Seized},
};
use crate::{
    broken::{self, Defect},
    region::participants::Name,
};

/// So many at most.
pub(crate) const FEW: usize = 4;

/// A value that is to take the place of another one, for ever.
#[derive(Clone, Copy)]
pub(crate) struct Overwrite<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) value: &'a [u8],
    /// The revision that is expected to be there, if any is.
    pub(crate) expected: Option<u64>,
    /// Which of all answers is this one's.
    pub(crate) number: usize,
}

/// One of them, with its shard's lock held and everything ready.
#[derive(Clone, Copy)]
struct Step<'a, 'o> {
    seized: Seized<'a>,
    overwrite: &'o Overwrite<'o>,
    at: u64,
    old: Slot,
    new: Ready,
}

impl Storage {
    /// Overwrites them all at once; the revision of each, by its number. They stand in the order of their shards, no two in
    /// one. `None`, with nothing changed, where it is not as simple as that.
    pub(crate) fn overwrite_together(
        &self,
        me: Name,
        overwrites: &[Overwrite<'_>],
        may_write: impl Fn(Seized<'_>) -> bool,
    ) -> Option<[u64; FEW]> {
        let mut steps = [None; FEW];
        for (step, overwrite) in steps.iter_mut().zip(overwrites) {
            *step = self.step(me, overwrite, &may_write);
            if step.is_none() {
                break;
            }
        }
        let is_ready = steps.iter().flatten().count() == overwrites.len();
        let revisions = if is_ready { self.carry_out(&steps) } else { None };
        // The home, which is the lowest, last: it looks after the others.
        steps.iter().rev().flatten().for_each(|step| step.seized.release());
        revisions
    }

    #[inline(always)]
    fn step<'a, 'o>(
        &'a self,
        me: Name,
        overwrite: &'o Overwrite<'o>,
        may_write: impl Fn(Seized<'_>) -> bool,
    ) -> Option<Step<'a, 'o>> {
        let seized = self.seize(me, &overwrite.key)?;
        let step = if may_write(seized) && seized.is_sound() { Step::prepare(seized, overwrite) } else { None };
        if step.is_none() {
            seized.release();
        }
        step
    }

    fn carry_out(&self, steps: &[Option<Step<'_, '_>>; FEW]) -> Option<[u64; FEW]> {
        let steps = || steps.iter().flatten();
        let home = steps().next()?.seized;
        let tag = Tag(home.tick()?);
        steps().for_each(|step| step.seized.page.store(INTENT, Intent::Part as u64, Release));
        home.page.store(TXN_SHARDS, steps().fold(0, |shards, step| shards | 1 << step.seized.index), Release);
        home.page.store(TXN, tag.word(PREPARED), Release);
        steps().for_each(|step| step.mark(tag));
        steps().for_each(|step| step.seized.begin_change());
        self.memory.swap(self.geometry.shard(home.index) + TXN, tag.word(COMMITTED), SeqCst);
        steps().rev().for_each(|step| step.apply());
        steps().skip(1).for_each(|step| step.idle());
        home.end_change();
        home.page.store(TXN, 0, Release);
        home.page.store(INTENT, Intent::Idle as u64, Release);
        let mut revisions = [0; FEW];
        steps().for_each(|step| revisions[step.overwrite.number] = step.new.revision);
        Some(revisions)
    }
}

impl<'a, 'o> Step<'a, 'o> {
    #[inline(always)]
    fn prepare(seized: Seized<'a>, overwrite: &'o Overwrite<'o>) -> Option<Self> {
        let found = seized.find(&overwrite.key)?;
        if overwrite.expected.is_some_and(|revision| revision != found.revision()) {
            return None;
        }
        let new = seized.replacement(found, &overwrite.key, overwrite.value)?;
        Some(Self { seized, overwrite, at: found.slot.at, old: found.slot.slot, new })
    }

    /// From here on readers look at the home's word.
    #[inline(always)]
    fn mark(&self, tag: Tag) {
        let (seized, key) = (self.seized, &self.overwrite.key);
        let base = seized.storage.geometry.shard(seized.index);
        let part = Single(seized.page);
        part.begin(tag);
        seized.page.store(PART, base + HEADER_PART, Release);
        part.write(tag, Entry { at: self.at, wait: key.wait, space: key.space, old: self.old, new: self.new.slot });
        let mark = Slot::mark(key.hash, base + Single::ENTRY);
        let visible = if broken::has(Defect::MarkSkipped) { self.new.slot } else { mark };
        seized.glance.store(self.at, visible.0, Release);
    }

    #[inline(always)]
    fn apply(&self) {
        let seized = self.seized;
        seized.publish(self.at, self.new.slot);
        seized.tell(&self.overwrite.key, self.old, self.new.slot);
        seized.let_rest(self.new, self.old);
        Single(seized.page).end();
        seized.page.store(PART, 0, Release);
    }

    #[inline(always)]
    fn idle(&self) {
        self.seized.end_change();
        self.seized.page.store(INTENT, Intent::Idle as u64, Release);
    }
}
