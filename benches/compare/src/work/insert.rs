//! Filling a store from empty.

use std::{cell::RefCell, rc::Rc};

use crate::{
    bench::Bench,
    duel::{Side, duel_of},
    failure::Outcome,
    figures::Figures,
    keys::{Keys, Walk},
    peer::{Lmdb, Ours, Peer},
    report::Report,
    row::{Row, Target},
    tape::Tape,
    value::{Value, sum_of},
};

/// How long each insert took at least. What the store itself does at the thousandth insert it does there in each run; a
/// processor that was taken away meanwhile comes somewhere else the next time.
type Least = Rc<RefCell<Vec<f32>>>;

/// What nobody should wait for longer than.
const LONGEST: f64 = 1_000_000.0;

pub(crate) fn insert_1m(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let keys = bench.keys(bench.many);
    let (our_least, their_least) = (Least::default(), Least::default());
    let mut ours = filling(&keys, &our_least, || Ours::open(&bench.fresh("ours")?));
    let mut lmdb = filling(&keys, &their_least, || Lmdb::open(&bench.fresh("lmdb")?));
    let figures = duel_of(bench, keys.len(), &mut ours, &mut lmdb)?;
    report.push(Row::new("insert-1m", Lmdb::NAME, figures, Target::Ratio(3.0)));
    let (ours, lmdb) = (longest(&our_least), longest(&their_least));
    let limit = (ours.clone(), Figures::fixed(LONGEST));
    report.push(Row::new("insert-1m-longest", "limit", limit, Target::Nanoseconds(LONGEST)));
    report.push(Row::new("insert-1m-longest", Lmdb::NAME, (ours, lmdb), Target::Reported));
    Ok(())
}

fn longest(least: &Least) -> Figures {
    Figures::fixed(least.borrow().iter().fold(0.0_f64, |longest, &insert| longest.max(insert.into())))
}

fn filling<'a, P: Peer>(keys: &Rc<Keys>, least: &Least, make: impl Fn() -> Outcome<P> + 'a) -> impl Side + 'a {
    let (keys, least) = (keys.clone(), least.clone());
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let (mut peer, mut walk, mut value) = (make()?, Walk::new(&keys), Value::small());
        let mut number = 0;
        tape.operations(operations, || {
            number += 1;
            peer.set(walk.step(), value.of(number))
        })?;
        let mut least = least.borrow_mut();
        least.resize(tape.samples.len(), f32::INFINITY);
        least.iter_mut().zip(&tape.samples).for_each(|(least, sample)| *least = least.min(*sample));
        let (mut sum, mut found) = (0_u64, Vec::new());
        for key in keys.iter() {
            peer.get(key, &mut found)?;
            sum = sum.wrapping_mul(31).wrapping_add(sum_of(&found));
        }
        Ok(sum)
    }
}
