//! Looking at every byte: does each record fit its slot and checksum, does each block have exactly one owner?

use std::collections::{BTreeMap, HashMap};

use super::{
    Storage,
    record::Record,
    shard::{LIVE, Locked, MORTALS, RESERVED, RESERVED_LEN, Shard, TXN, USED},
    slab::Place,
    slot::{EMPTY, Slot},
    space::Extent,
};
use crate::{
    driver::{Space, Verification},
    error::Result,
    primitive::allowance::Allowance,
    region::{layout::EXTENT, participants::Name},
};

/// So many problems of one index are listed.
const MOST_PROBLEMS: usize = 1000;

/// The blocks in use, as everything that leads to one says.
#[derive(Default)]
pub(crate) struct Blocks {
    /// Taken blocks of each span, by its offset.
    pub(crate) spans: HashMap<u64, u128>,
    /// First extents of runs and how many there are.
    pub(crate) runs: BTreeMap<u64, u64>,
}

impl Storage {
    /// Checks everything, one locked shard at a time.
    pub(crate) fn verify(&self, me: Name) -> Result<Verification> {
        let mut report = Verification::default();
        self.memory.refresh().map_err(|error| self.io("read the size", error))?;
        let allowance = Allowance::full();
        for shard in self.shards() {
            match shard.lock(me, &allowance) {
                Ok(locked) => locked.verify(&mut report),
                Err(error) if error.kind() == crate::ErrorKind::Corrupt => report.problems.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        for extent in self.geometry.first_extent()..self.space().extents() {
            let owner = match self.space().extent(extent) {
                Extent::Garbage => Some(u32::MAX),
                Extent::Span { shard, .. } | Extent::Run { shard, .. } => Some(shard),
                _ => None,
            };
            if owner.is_some_and(|shard| shard >= self.geometry.shards) {
                report.problems.push(format!("extent {extent} belongs to nobody"));
            }
        }
        Ok(report)
    }
}

impl Locked<'_> {
    fn verify(&self, report: &mut Verification) {
        let mut blocks = Blocks::default();
        for space in [Space::Values, Space::Coordination] {
            self.verify_index(space, &mut blocks, report);
        }
        let reserved = (0..RESERVED_LEN).map(|index| self.load(RESERVED + index * 8)).filter(|at| *at != 0);
        for offset in self.retired().chain(reserved).collect::<Vec<_>>() {
            self.note_block(offset, "a resting block", &mut blocks, report);
        }
        if self.part().is_some() || self.load(TXN) != 0 {
            report.problems.push(format!("shard {}: a transaction is left over", self.index));
        }
        self.verify_extents(&blocks, report);
    }

    fn verify_index(&self, space: Space, blocks: &mut Blocks, report: &mut Verification) {
        let root = self.root(space);
        if !root.exists() {
            return;
        }
        let problem = |what: String| format!("shard {}: {what}", self.index);
        if !self.storage.memory.contains(root.offset(), root.slots() * 8) {
            return report.problems.push(problem("its index lies outside the file".into()));
        }
        self.note_block(root.offset(), "an index", blocks, report);
        let (mut live, mut used, mut mortals) = (0, 0, 0);
        for number in 0..root.slots() {
            let slot = root.slot(&self.storage.memory, number);
            used += u64::from(slot != EMPTY);
            live += u64::from(slot.is_record());
            mortals += u64::from(slot.is_record() && slot.is_mortal());
            if slot.is_mark() {
                report.problems.push(problem(format!("slot {number} is marked, but no transaction is under way")));
            }
            // Each block is read once, whoever names it; and nobody reads ten thousand problems.
            if slot.is_record()
                && self.note_block(slot.offset(), "a record", blocks, report)
                && let Err(what) = self.verify_record(space, slot, number, report)
            {
                report.problems.push(problem(what));
            }
            if report.problems.len() > MOST_PROBLEMS {
                return report.problems.push(problem("there are more problems, which are not listed".into()));
            }
        }
        for (field, name, counted) in [(LIVE, "records", live), (USED, "slots", used), (MORTALS, "lifetimes", mortals)]
        {
            let kept = self.load(Shard::field(field, space));
            if kept != counted {
                report.problems.push(problem(format!("it counts {kept} {name}, there are {counted}")));
            }
        }
    }

    fn verify_record(&self, space: Space, slot: Slot, number: u64, report: &mut Verification) -> Result<(), String> {
        let record = Record::new(&self.storage.memory, slot.offset());
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let shape = record.shape().ok_or(format!("slot {number} leads out of the file"))?;
        report.records += 1;
        report.bytes += shape.size();
        let bits = record.version() & 63;
        if record.version() == 0 || bits != u64::from(self.index) {
            return Err(format!("the record of slot {number} has the revision {}", record.version()));
        }
        if !record.is_sound(self.storage, shape, &mut key, &mut value) {
            return Err(format!("the record of slot {number} does not fit its checksum"));
        }
        let name = String::from_utf8_lossy(&key).into_owned();
        let expected = self.storage.key(space, &key);
        if expected.hash != slot.hash() || expected.shard != self.index || !shape.is_of(space) {
            return Err(format!("key {name:?} lies where nobody looks for it"));
        }
        if shape.is_mortal() != slot.is_mortal() {
            return Err(format!("key {name:?}: slot and record disagree about its lifetime"));
        }
        match self.find(&expected) {
            Ok(super::find::Found::Here { slot: found, .. }) if found == slot => Ok(()),
            _ => Err(format!("key {name:?} is there twice, or cannot be found")),
        }
    }

    /// Notes that a block is in use; whether that is so for the first time.
    fn note_block(&self, offset: u64, what: &str, blocks: &mut Blocks, report: &mut Verification) -> bool {
        let noted = blocks.note(self.place(offset));
        if let Err(problem) = noted {
            report.problems.push(format!("shard {}: {what} at {offset} {problem}", self.index));
        }
        noted.is_ok()
    }

    fn verify_extents(&self, blocks: &Blocks, report: &mut Verification) {
        let mut problem = |what: String| report.problems.push(format!("shard {}: {what}", self.index));
        let space = self.storage.space();
        for extent in self.storage.geometry.first_extent()..space.extents() {
            match space.extent(extent) {
                Extent::Span { shard, class } if shard == self.index => {
                    let noted = blocks.spans.get(&(extent * EXTENT)).copied().unwrap_or(0);
                    let kept = self.bits(extent * EXTENT);
                    if noted != kept {
                        let size = class.size();
                        problem(format!("span {extent} of {size}-byte blocks: {kept:x} are taken, {noted:x} are used"));
                    }
                }
                Extent::Run { shard, .. } if shard == self.index && !blocks.runs.contains_key(&extent) => {
                    problem(format!("run {extent} is taken, but not used"));
                }
                _ => {}
            }
        }
    }
}

impl Blocks {
    pub(crate) fn note(&mut self, place: Option<Place>) -> Result<(), &'static str> {
        match place {
            None => Err("lies where no block can be"),
            Some(Place::Run { first, extents }) => {
                let before = self.runs.range(..first).next_back();
                let overlaps = before.is_some_and(|(other, length)| other + length > first)
                    || self.runs.range(first..first + extents).next().is_some();
                self.runs.insert(first, extents);
                if overlaps { Err("is used twice, or reaches into another") } else { Ok(()) }
            }
            Some(Place::Block { span, index, .. }) => {
                let bits = self.spans.entry(span).or_default();
                let taken = *bits >> index & 1 == 1;
                *bits |= 1 << index;
                if taken { Err("is used twice") } else { Ok(()) }
            }
        }
    }
}
