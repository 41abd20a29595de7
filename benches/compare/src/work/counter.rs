//! One number that is counted up.

use crate::{
    bench::Bench,
    duel::{Side, duel},
    failure::Outcome,
    peer::{Bare, Flock, HashMapped, Lmdb, Ours, Peer, RawSync, Redis},
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

const WORK: &str = "increment";

pub(crate) fn increment(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside(bench, report, Lmdb::open(&bench.fresh("lmdb")?)?, Target::Ratio(6.0))?;
    beside(bench, report, Bare::open(&bench.fresh("bare")?)?, Target::Reported)?;
    beside(bench, report, HashMapped::default(), Target::Reported)?;
    match Redis::start(&bench.fresh("redis")?)? {
        Some(redis) => beside(bench, report, redis, Target::Reported)?,
        None => report.not_installed(WORK, Redis::NAME),
    }
    beside(bench, report, RawSync::new()?, Target::Reported)?;
    beside(bench, report, Flock::open(&bench.fresh("flock")?)?, Target::Reported)
}

fn beside<P: Peer>(bench: &Bench, report: &mut Report, mut peer: P, target: Target) -> Outcome<()> {
    // A store of its own each time, so that both numbers begin at 0 and come to the same.
    let mut ours = Ours::open(&bench.fresh("ours")?)?;
    let figures = duel(bench, &mut counting(&mut ours), &mut counting(&mut peer))?;
    report.push(Row::new(WORK, P::NAME, figures, target));
    Ok(())
}

fn counting<P: Peer>(peer: &mut P) -> impl Side {
    |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0_u64;
        tape.operations(operations, || {
            sum = sum.wrapping_add(peer.add(1)? as u64);
            Ok(())
        })?;
        Ok(sum)
    }
}
