//! All keys in their order.

use crate::{
    bench::Bench,
    duel::duel_of,
    failure::Outcome,
    peer::{Lmdb, Ours, Peer, fill},
    report::Report,
    row::{Row, Target},
    tape::Tape,
    value::Value,
};

pub(crate) fn scan_1m(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (keys, mut value) = (bench.keys(bench.many), Value::small());
    let (mut ours, mut lmdb) = (Ours::open(&bench.fresh("ours")?)?, Lmdb::open(&bench.fresh("lmdb")?)?);
    fill(&mut ours, &keys, &mut value)?;
    fill(&mut lmdb, &keys, &mut value)?;
    let mut here = |count: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0;
        tape.whole(count, || {
            ours.store.keys("")?.for_each(|key| sum = mixed(sum, &key));
            Ok(())
        })?;
        Ok(sum)
    };
    let mut there = |count: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0;
        tape.whole(count, || lmdb.scan(|key| sum = mixed(sum, key)))?;
        Ok(sum)
    };
    let figures = duel_of(bench, keys.len(), &mut here, &mut there)?;
    report.push(Row::new("scan-1m", Lmdb::NAME, figures, Target::Reported));
    Ok(())
}

/// Another sum for another order.
fn mixed(sum: u64, key: &str) -> u64 {
    key.bytes().rev().take(4).fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}
