//! A large value that is overwritten all the time: how often does one try suffice to read it?

use crate::{
    bench::Bench,
    child::Child,
    failure::{Outcome, fail},
    figures::{Figures, quantile},
    keys::{Key, name},
    peer::{Ours, Peer},
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

const LENGTH: usize = 64 << 10;
/// A try that was lost is followed by a pause and a second copy: such a read takes at least twice as long as one try.
/// What takes this many times the median is counted as lost, also where only the processor was taken away.
const LOST: f64 = 1.75;

/// The peer's number is what a read of one try takes, ours that number through the share of such reads; their ratio is the
/// share.
pub(crate) fn hot_64k(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    let mut ours = Ours::open(&folder)?;
    let (text, mut value) = (name(0), Vec::new());
    let (mut all, mut single) = (Figures::default(), Figures::default());
    let writer = Child::ready("overwrite", &folder, &[&LENGTH.to_string()])?;
    for _ in 0..bench.runs {
        let mut tape = Tape::new(1);
        tape.until(crate::clock::now() + bench.slice_nanoseconds() as u64, || {
            ours.get(Key { text: &text, number: 0 }, &mut value)?;
            if value.len() == LENGTH { Ok(()) } else { fail("half a value was read") }
        })?;
        let one = quantile(&tape.samples, 0.5).ok_or("nothing was read")?;
        let won = tape.samples.iter().filter(|&&took| f64::from(took) < LOST * one).count();
        let share = won as f64 / tape.samples.len() as f64;
        all.add_run(one / share, quantile(&tape.samples, 0.99).unwrap_or(one));
        single.add_run(one, one);
    }
    writer.end()?;
    report.push(Row::new("hot-64k", "one-try", (all, single), Target::Ratio(0.95)));
    Ok(())
}
