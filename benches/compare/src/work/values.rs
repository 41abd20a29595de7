//! Small values: read and overwritten, one key, a thousand, a million.

use std::rc::Rc;

use super::loops::{reading, writing};
use crate::{
    bench::Bench,
    duel::duel,
    failure::Outcome,
    keys::Keys,
    peer::{Flock, HashMapped, Iceoryx, Lmdb, MmapSync, Ours, Peer, RawSync, Redis, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

const LENGTH: usize = 64;

/// Whether values are read or written.
#[derive(Clone, Copy)]
enum Way {
    Get,
    Set,
}

/// A work on some keys, with our side filled.
struct Values<'a> {
    bench: &'a Bench,
    report: &'a mut Report,
    work: &'static str,
    way: Way,
    keys: Rc<Keys>,
    ours: Ours,
}

impl<'a> Values<'a> {
    fn new(bench: &'a Bench, report: &'a mut Report, work: &'static str, way: Way, count: usize) -> Outcome<Self> {
        let keys = bench.keys(count);
        let mut ours = Ours::open(&bench.fresh("ours")?)?;
        fill(&mut ours, &keys, &mut Value::small())?;
        Ok(Self { bench, report, work, way, keys, ours })
    }

    fn beside<P: Peer>(&mut self, mut peer: P, target: Target) -> Outcome<()> {
        fill(&mut peer, &self.keys, &mut Value::small())?;
        let (ours, keys) = (&mut self.ours, &self.keys);
        let figures = match self.way {
            Way::Get => duel(self.bench, &mut reading(ours, keys), &mut reading(&mut peer, keys))?,
            Way::Set => duel(self.bench, &mut writing(ours, keys, LENGTH), &mut writing(&mut peer, keys, LENGTH))?,
        };
        self.report.push(Row::new(self.work, P::NAME, figures, target));
        Ok(())
    }

    /// Those who have many keys.
    fn beside_stores(&mut self, lmdb: Target, hashmap: Target) -> Outcome<()> {
        self.beside(Lmdb::open(&self.bench.fresh("lmdb")?)?, lmdb)?;
        self.beside(HashMapped::default(), hashmap)
    }

    /// Those who have few, too.
    fn beside_all(&mut self, lmdb: Target, hashmap: Target) -> Outcome<()> {
        self.beside_stores(lmdb, hashmap)?;
        self.beside(Iceoryx::new(&self.bench.fresh("iceoryx2")?, self.keys.len())?, Target::Reported)?;
        match Redis::start(&self.bench.fresh("redis")?)? {
            Some(redis) => self.beside(redis, Target::Reported)?,
            None => self.report.not_installed(self.work, Redis::NAME),
        }
        self.beside(RawSync::new()?, Target::Reported)?;
        self.beside(Flock::open(&self.bench.fresh("flock")?)?, Target::Reported)
    }
}

pub(crate) fn get_one(bench: &Bench, report: &mut Report) -> Outcome<()> {
    one(bench, report, "get-one", Way::Get)
}

pub(crate) fn set_one(bench: &Bench, report: &mut Report) -> Outcome<()> {
    one(bench, report, "set-one", Way::Set)
}

fn one(bench: &Bench, report: &mut Report, work: &'static str, way: Way) -> Outcome<()> {
    let mut values = Values::new(bench, report, work, way, 1)?;
    values.beside(MmapSync::new(&bench.fresh("mmap-sync")?), Target::Reported)?;
    values.beside(Iceoryx::new(&bench.fresh("iceoryx2")?, 1)?, Target::Reported)
}

pub(crate) fn get_1k(bench: &Bench, report: &mut Report) -> Outcome<()> {
    Values::new(bench, report, "get-1k", Way::Get, 1_000)?.beside_all(Target::Ratio(5.0), Target::Ratio(0.8))
}

pub(crate) fn get_1m(bench: &Bench, report: &mut Report) -> Outcome<()> {
    Values::new(bench, report, "get-1m", Way::Get, bench.many)?.beside_stores(Target::Ratio(4.0), Target::Ratio(0.8))
}

pub(crate) fn set_1k(bench: &Bench, report: &mut Report) -> Outcome<()> {
    Values::new(bench, report, "set-1k", Way::Set, 1_000)?.beside_all(Target::Ratio(6.0), Target::Reported)
}

pub(crate) fn set_1m(bench: &Bench, report: &mut Report) -> Outcome<()> {
    Values::new(bench, report, "set-1m", Way::Set, bench.many)?.beside_stores(Target::Ratio(4.0), Target::Reported)
}
