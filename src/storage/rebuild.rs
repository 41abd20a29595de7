//! After another boot: what a disk file holds then may be any mixture of old and new pages. Every record is looked at
//! once; what is sound and alive is kept, all bookkeeping is made anew from it.
//!
//! Nobody else is attached, and the boot id is stored last: killed in the middle, it begins again. So nothing that the
//! beginning looks at is given up on the way: indexes are cleaned where they are, extents in use keep their words, and
//! an index that has lost its place keeps it until a new one took over.

use std::collections::{HashMap, HashSet};

use super::{
    Storage,
    classes::Class,
    index::Root,
    record::Record,
    shard::{CLOCK, DAMAGED, LIVE, LOCK, Locked, SEQUENCE, Shard, USED},
    slab::Place,
    slot::{EMPTY, GRAVE, Slot},
    space::Use,
};
use crate::{
    driver::Space,
    error::{ErrorKind, Result},
    primitive::allowance::Allowance,
    region::{layout::EXTENT, participants::Name},
};

/// Records are read once; what comes to more than so many times the store overlaps.
const MOST_READ: u64 = 4;

/// What stays: who owns which extents, and which blocks of spans are taken.
struct Survey<'a> {
    storage: &'a Storage,
    /// For each extent, the first one of what it is part of, plus 1.
    owners: Vec<u32>,
    /// What begins at an extent, and of which shard.
    uses: HashMap<u64, (u32, Use)>,
    /// Taken blocks of each span.
    bits: HashMap<u64, u128>,
    /// Records looked at, sound or not.
    seen: HashSet<u64>,
    /// Bytes that may still be read.
    budget: u64,
    dropped: u64,
}

/// An index and what is to become of its slots.
struct Plan {
    space: Space,
    root: Root,
    /// Its place is its own, so it stays there.
    has_place: bool,
    /// The slots that stay, by their numbers.
    kept: HashMap<u64, Slot>,
}

impl Storage {
    /// Keeps every sound record without a lifetime, drops the rest, and makes all books anew. Tells what was dropped.
    pub(crate) fn rebuild(&self, me: Name) -> Result<u64> {
        let size = self.memory.refresh().map_err(|error| self.io("read the size", error))?;
        let mut survey = Survey {
            storage: self,
            owners: vec![0; self.space().extents() as usize],
            uses: HashMap::new(),
            bits: HashMap::new(),
            seen: HashSet::new(),
            budget: size.saturating_mul(MOST_READ),
            dropped: 0,
        };
        let spaces = [Space::Values, Space::Coordination];
        let mut plans: Vec<[Plan; 2]> =
            self.shards().map(|shard| spaces.map(|space| survey.place_index(shard, space))).collect();
        for (shard, plans) in self.shards().zip(&mut plans) {
            for plan in plans {
                survey.keep_sound(shard, plan)?;
            }
        }
        let mut sheltered = survey.shelter(&mut plans);
        // Marks lead to transactions whose state the headers keep, so they go before those.
        for (shard, plans) in self.shards().zip(&plans) {
            plans.iter().for_each(|plan| shard.clean_index(plan));
        }
        survey.write_extents();
        let allowance = Allowance::full();
        for (shard, plans) in self.shards().zip(&plans) {
            shard.clear_header(plans);
            let locked = shard.lock(me, &allowance)?;
            for (first, what) in survey.spans_of(shard.index) {
                let bits = survey.bits.get(&first).copied().unwrap_or(0);
                locked.rewrite_span(first * EXTENT, what, bits)?;
            }
        }
        for (shard, plans) in self.shards().zip(&plans) {
            for plan in plans.iter().filter(|plan| !plan.has_place) {
                let refilled = shard.lock(me, &allowance)?.refill(plan);
                match refilled {
                    // Better without a net than not at all.
                    Err(error) if error.kind() == ErrorKind::Full && !sheltered.is_empty() => {
                        self.release_all(me, &mut sheltered, &allowance)?;
                        shard.lock(me, &allowance)?.refill(plan)?;
                    }
                    done => done?,
                }
            }
        }
        self.release_all(me, &mut sheltered, &allowance)?;
        Ok(survey.dropped)
    }

    fn release_all(&self, me: Name, sheltered: &mut Vec<(u32, u64)>, allowance: &Allowance) -> Result<()> {
        sheltered.drain(..).try_for_each(|(shard, first)| {
            let locked = self.shard(shard).lock(me, allowance)?;
            self.space().release(&locked, first)
        })
    }
}

impl Survey<'_> {
    /// Where an index is, and whether the table of extents agrees.
    fn place_index(&mut self, shard: Shard<'_>, space: Space) -> Plan {
        let mut root = shard.root(space);
        if root.exists() && !self.storage.memory.contains(root.offset(), root.slots() * 8) {
            self.dropped += 1;
            root = Root(0);
        }
        let has_place = root.exists() && self.take(shard, root.offset(), root.slots() * 8);
        Plan { space, root, has_place, kept: HashMap::new() }
    }

    /// Looks at the records of an index.
    fn keep_sound(&mut self, shard: Shard<'_>, plan: &mut Plan) -> Result<()> {
        let memory = &self.storage.memory;
        let mut keys = HashSet::new();
        for number in 0..plan.root.slots() {
            let mut slot = plan.root.slot(memory, number);
            if slot.is_condemned() {
                slot = spared(shard, slot);
            } else if slot.is_mark() {
                slot = super::part::Sighting::of(self.storage, slot.offset(), plan.root.slot_at(number))
                    .map_or(EMPTY, |entry| entry.slot());
            }
            if !slot.is_record() {
                continue;
            }
            if self.is_sound(shard, plan.space, slot, &mut keys)? {
                plan.kept.insert(number, slot);
            } else {
                self.dropped += 1;
            }
        }
        Ok(())
    }

    fn is_sound(&mut self, shard: Shard<'_>, space: Space, slot: Slot, keys: &mut HashSet<Vec<u8>>) -> Result<bool> {
        let record = Record::new(&self.storage.memory, slot.offset());
        let (mut bytes, mut value) = (Vec::new(), Vec::new());
        let Some(shape) = record.shape() else { return Ok(false) };
        if record.version() == 0 || shape.is_mortal() || slot.is_mortal() || !self.seen.insert(slot.offset()) {
            return Ok(false);
        }
        let Some(budget) = self.budget.checked_sub(shape.size()) else {
            return Err(shard.corrupt("its records overlap"));
        };
        self.budget = budget;
        if !record.is_sound(self.storage, shape, &mut bytes, &mut value) {
            return Ok(false);
        }
        let key = self.storage.key(space, &bytes);
        let fits = key.hash == slot.hash() && key.shard == shard.index && shape.is_of(space);
        Ok(fits && !keys.contains(&bytes) && self.take(shard, slot.offset(), shape.size()) && keys.insert(bytes))
    }

    /// Takes the block at an offset for so many bytes, if the table of extents agrees and nobody has it yet.
    fn take(&mut self, shard: Shard<'_>, offset: u64, bytes: u64) -> bool {
        match shard.place(offset) {
            Some(Place::Block { span, class, index }) if Class::of(bytes) == Some(class) => {
                let free = self.bits.get(&(span / EXTENT)).is_none_or(|bits| bits >> index & 1 == 0);
                if !free || !self.claim(span / EXTENT, shard.index, Use::Span(class)) {
                    return false;
                }
                *self.bits.entry(span / EXTENT).or_default() |= 1 << index;
                true
            }
            Some(Place::Run { first, extents }) if Class::of(bytes).is_none() => {
                extents == bytes.div_ceil(EXTENT)
                    && !self.uses.contains_key(&first)
                    && self.claim(first, shard.index, Use::Run(extents))
            }
            _ => false,
        }
    }

    /// Claims extents for a shard, all or none.
    fn claim(&mut self, first: u64, shard: u32, what: Use) -> bool {
        if self.uses.get(&first) == Some(&(shard, what)) {
            return true;
        }
        let range = first as usize..(first + what.extents()) as usize;
        match self.owners.get_mut(range) {
            Some(owners) if owners.iter().all(|owner| *owner == 0) => {
                owners.fill(first as u32 + 1);
                self.uses.insert(first, (shard, what));
                true
            }
            _ => false,
        }
    }

    /// Gives indexes that have lost their places those back, if nobody else has them. Where only a span could tell what
    /// the place was, it is kept until a new index took over.
    fn shelter(&mut self, plans: &mut [[Plan; 2]]) -> Vec<(u32, u64)> {
        let mut sheltered = Vec::new();
        for (shard, plans) in plans.iter_mut().enumerate() {
            for plan in plans.iter_mut().filter(|plan| !plan.has_place && !plan.kept.is_empty()) {
                let (offset, bytes) = (plan.root.offset(), plan.root.slots() * 8);
                let (first, end) = (offset / EXTENT, (offset + bytes).div_ceil(EXTENT));
                if !self.claim(first, shard as u32, Use::Run(end - first)) {
                    continue;
                }
                plan.has_place = Class::of(bytes).is_none() && offset.is_multiple_of(EXTENT);
                if !plan.has_place {
                    sheltered.push((shard as u32, first));
                }
            }
        }
        sheltered
    }

    /// Writes down who owns which extents; what is kept has its words already.
    fn write_extents(&self) {
        let space = self.storage.space();
        for extent in self.storage.geometry.first_extent()..self.owners.len() as u64 {
            match self.owners[extent as usize] {
                0 => space.assign(extent, extent, None),
                first => {
                    let first = u64::from(first - 1);
                    space.assign(extent, first, self.uses.get(&first).copied());
                }
            }
        }
        space.forget_hints();
    }

    fn spans_of(&self, shard: u32) -> Vec<(u64, Class)> {
        let spans = self.uses.iter().filter_map(|(first, (owner, what))| match what {
            Use::Span(class) if *owner == shard => Some((*first, *class)),
            _ => None,
        });
        let mut spans: Vec<_> = spans.collect();
        spans.sort_unstable_by_key(|(first, _)| *first);
        spans
    }
}

impl Shard<'_> {
    /// Buries what does not stay, where it is.
    fn clean_index(&self, plan: &Plan) {
        let memory = &self.storage.memory;
        for number in 0..if plan.has_place { plan.root.slots() } else { 0 } {
            let slot = plan.root.slot(memory, number);
            let wanted = plan.kept.get(&number).copied().unwrap_or(if slot == EMPTY { EMPTY } else { GRAVE });
            if wanted != slot {
                memory.store(plan.root.slot_at(number), wanted.0, std::sync::atomic::Ordering::Release);
            }
        }
    }

    /// Everything but the clock and the roots becomes as in a new shard; counts are made anew.
    fn clear_header(&self, plans: &[Plan; 2]) {
        let memory = &self.storage.memory;
        let sequence = self.load(SEQUENCE) | 1;
        memory.store32(self.base + DAMAGED, 0, std::sync::atomic::Ordering::Release);
        Self::words().filter(|field| *field != CLOCK).for_each(|field| self.store(field, 0));
        self.store(SEQUENCE, sequence.wrapping_add(1));
        for plan in plans {
            let used = (0..plan.root.slots()).filter(|number| plan.root.slot(memory, *number) != EMPTY).count() as u64;
            let (live, used) = if plan.has_place { (plan.kept.len() as u64, used) } else { (0, 0) };
            self.store(Shard::field(LIVE, plan.space), live);
            self.store(Shard::field(USED, plan.space), used);
        }
        memory.store32(self.base + LOCK, 0, std::sync::atomic::Ordering::Release);
    }
}

impl Locked<'_> {
    /// A fresh index with these slots in place of one that cannot stay.
    fn refill(&self, plan: &Plan) -> Result<()> {
        let count = plan.kept.len() as u64;
        if count == 0 {
            self.storage.memory.store(self.root_at(plan.space), 0, std::sync::atomic::Ordering::Release);
            return Ok(());
        }
        let root = match self.new_index(plan.space, count * 2) {
            Err(error) if error.kind() == ErrorKind::Full => {
                self.recover()?;
                self.new_index(plan.space, count + 1)?
            }
            root => root?,
        };
        plan.kept.values().try_for_each(|slot| self.insert(root, *slot))?;
        self.store(Shard::field(LIVE, plan.space), count);
        self.store(Shard::field(USED, plan.space), count);
        self.storage.memory.store(self.root_at(plan.space), root.0, std::sync::atomic::Ordering::Release);
        self.idle();
        Ok(())
    }
}

/// The slot that a condemned one stands for: none, if its transaction was committed.
fn spared(shard: Shard<'_>, slot: Slot) -> Slot {
    let storage = shard.storage;
    let record = Record::new(&storage.memory, slot.offset());
    match super::part::Sighting::of_condemned(storage, shard.base, slot) {
        Some(entry) if !entry.slot().is_record() => EMPTY,
        _ => Slot::record(slot.hash(), slot.offset(), record.shape().is_some_and(|shape| shape.is_mortal())),
    }
}
