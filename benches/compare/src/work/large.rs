//! Values of one mebibyte, beside copying so many bytes.

use std::rc::Rc;

use super::loops::{reading, writing};
use crate::{
    bench::Bench,
    duel::duel,
    failure::Outcome,
    keys::{Key, Keys},
    peer::{Lmdb, Ours, Peer, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

const LENGTH: usize = 1 << 20;

/// A buffer in this process: reading and writing are one copy each.
#[derive(Default)]
struct Copied(Vec<u8>);

impl Peer for Copied {
    const NAME: &'static str = "bare";

    fn get(&mut self, _only: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        into.clear();
        into.extend_from_slice(&self.0);
        Ok(())
    }

    fn set(&mut self, _only: Key<'_>, value: &[u8]) -> Outcome<()> {
        self.0.clear();
        self.0.extend_from_slice(value);
        Ok(())
    }
}

pub(crate) fn get_1mib(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (mut ours, keys) = prepared(Ours::open(&bench.fresh("ours")?)?, bench)?;
    let (mut bare, _) = prepared(Copied::default(), bench)?;
    let figures = duel(bench, &mut reading(&mut ours, &keys), &mut reading(&mut bare, &keys))?;
    report.push(Row::new("get-1mib", Copied::NAME, figures, Target::Ratio(0.8)));
    let (mut lmdb, _) = prepared(Lmdb::open(&bench.fresh("lmdb")?)?, bench)?;
    let figures = duel(bench, &mut reading(&mut ours, &keys), &mut reading(&mut lmdb, &keys))?;
    report.push(Row::new("get-1mib", Lmdb::NAME, figures, Target::Reported));
    Ok(())
}

pub(crate) fn set_1mib(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (mut ours, keys) = prepared(Ours::open(&bench.fresh("ours")?)?, bench)?;
    let (mut bare, _) = prepared(Copied::default(), bench)?;
    let figures = duel(bench, &mut writing(&mut ours, &keys, LENGTH), &mut writing(&mut bare, &keys, LENGTH))?;
    report.push(Row::new("set-1mib", Copied::NAME, figures, Target::Ratio(0.5)));
    let (mut lmdb, _) = prepared(Lmdb::open(&bench.fresh("lmdb")?)?, bench)?;
    let figures = duel(bench, &mut writing(&mut ours, &keys, LENGTH), &mut writing(&mut lmdb, &keys, LENGTH))?;
    report.push(Row::new("set-1mib", Lmdb::NAME, figures, Target::Reported));
    Ok(())
}

fn prepared<P: Peer>(mut peer: P, bench: &Bench) -> Outcome<(P, Rc<Keys>)> {
    let keys = bench.keys(1);
    fill(&mut peer, &keys, &mut Value::of_length(LENGTH))?;
    Ok((peer, keys))
}
