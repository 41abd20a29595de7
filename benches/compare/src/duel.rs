//! Ours and a peer, by turns.

use crate::{
    bench::Bench,
    failure::{Outcome, fail},
    figures::Figures,
    tape::Tape,
};

/// Somebody who does so many operations of a work each time and tells a sum of what came out of them.
pub(crate) trait Side {
    fn run(&mut self, operations: usize, tape: &mut Tape) -> Outcome<u64>;
}

impl<F: FnMut(usize, &mut Tape) -> Outcome<u64>> Side for F {
    fn run(&mut self, operations: usize, tape: &mut Tape) -> Outcome<u64> {
        self(operations, tape)
    }
}

/// Operations below this many nanoseconds are sampled in batches: the clock would cost as much as they do.
const SINGLE: f64 = 1_000.0;
const BATCH: usize = 64;

/// As many operations as the slower side does in the time of a run.
pub(crate) fn duel(bench: &Bench, ours: &mut dyn Side, peer: &mut dyn Side) -> Outcome<(Figures, Figures)> {
    let (mut operations, mut costs) = (BATCH, (0.0, 0.0));
    // The first trial may have cold caches and pages to touch, the second tells.
    for share in [0.05, 1.0] {
        let (first, second) = (trial(ours, operations)?, trial(peer, operations)?);
        costs = (first, second);
        let fitting = bench.slice_nanoseconds() * share / first.max(second);
        operations = (fitting as usize).clamp(BATCH, 4_000_000).next_multiple_of(BATCH);
    }
    rounds(bench, operations, (ours, batch(costs.0)), (peer, batch(costs.1)))
}

/// Exactly so many operations in each run, each of them timed.
pub(crate) fn duel_of(
    bench: &Bench,
    operations: usize,
    ours: &mut dyn Side,
    peer: &mut dyn Side,
) -> Outcome<(Figures, Figures)> {
    rounds(bench, operations, (ours, 1), (peer, 1))
}

fn trial(side: &mut dyn Side, operations: usize) -> Outcome<f64> {
    let mut tape = Tape::new(BATCH);
    side.run(operations, &mut tape)?;
    Ok(tape.mean())
}

fn batch(cost: f64) -> usize {
    if cost < SINGLE { BATCH } else { 1 }
}

fn rounds(
    bench: &Bench,
    operations: usize,
    (ours, our_batch): (&mut dyn Side, usize),
    (peer, their_batch): (&mut dyn Side, usize),
) -> Outcome<(Figures, Figures)> {
    let (mut our_figures, mut their_figures) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        let (mut our_tape, mut their_tape) = (Tape::new(our_batch), Tape::new(their_batch));
        let (our_sum, their_sum) = (ours.run(operations, &mut our_tape)?, peer.run(operations, &mut their_tape)?);
        if our_sum != their_sum {
            return fail(format!(
                "the same work came to {our_sum} here and to {their_sum} there: one of them is wrong"
            ));
        }
        our_figures.add(our_tape);
        their_figures.add(their_tape);
    }
    Ok((our_figures, their_figures))
}
