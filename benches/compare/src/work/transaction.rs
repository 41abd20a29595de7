//! Two numbers that change together.

use std::rc::Rc;

use crate::{
    bench::Bench,
    duel::{Side, duel},
    failure::{Outcome, fail},
    keys::{Keys, Walk},
    peer::{Flock, HashMapped, Lmdb, Ours, Peer, Redis},
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

const WORK: &str = "transaction-2";
const ACCOUNTS: usize = 1_000;

pub(crate) fn transaction_2(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside(bench, report, Lmdb::open(&bench.fresh("lmdb")?)?, Target::Ratio(2.0))?;
    beside(bench, report, HashMapped::default(), Target::Reported)?;
    match Redis::start(&bench.fresh("redis")?)? {
        Some(redis) => beside(bench, report, redis, Target::Reported)?,
        None => report.not_installed(WORK, Redis::NAME),
    }
    beside(bench, report, Flock::open(&bench.fresh("flock")?)?, Target::Reported)
}

fn beside<P: Peer>(bench: &Bench, report: &mut Report, mut peer: P, target: Target) -> Outcome<()> {
    let (keys, mut ours) = (bench.keys(ACCOUNTS), Ours::open(&bench.fresh("ours")?)?);
    let figures = duel(bench, &mut moving(&mut ours, &keys), &mut moving(&mut peer, &keys))?;
    report.push(Row::new(WORK, P::NAME, figures, target));
    Ok(())
}

/// The sum of all accounts stays 0; what comes out is made of each of them.
fn moving<'a, P: Peer>(peer: &'a mut P, keys: &Rc<Keys>) -> impl Side + use<'a, P> {
    let (mut from, mut to, keys) = (Walk::new(keys), Walk::new(keys), keys.clone());
    // Another partner than the next one each time: both walks have the same length, but one stumbles after each round.
    to.skip(1);
    let mut moves = 0;
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        tape.operations(operations, || {
            moves += 1;
            if moves % (ACCOUNTS - 1) == 0 {
                to.skip(1);
            }
            let (from, to) = (from.step(), to.step());
            if from.number == to.number { Ok(()) } else { peer.shift(from, to) }
        })?;
        let (mut total, mut mixed) = (0, 0_u64);
        for key in keys.iter() {
            let number = peer.number(key)?;
            total += number;
            mixed = mixed.wrapping_mul(31).wrapping_add(number as u64);
        }
        if total == 0 { Ok(mixed) } else { fail(format!("{}: {total} came from nowhere", P::NAME)) }
    }
}
