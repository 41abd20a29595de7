//! A large value that is overwritten all the time: how often does one try suffice to read it?

use std::path::Path;

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::{Figures, quantile},
    keys::name,
    peer::Ours,
    report::Report,
    row::{Row, Target},
};

const LENGTH: usize = 64 << 10;
/// Nanoseconds between two writes that hardly ever meet a read.
const SELDOM: &str = "100000";
const WITHOUT_PAUSE: &str = "0";
/// What takes this many times as long as the same read without a race was tried again, or had to wait for the writer.
const LOST: f64 = 2.0;

/// The peer's number is what it takes to read a new value without a race, ours that number through the share of reads that
/// took about as long in the race; the ratio is the share.
pub(crate) fn hot_64k(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    let ours = Ours::open(&folder)?;
    let (mut racing, mut calm) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        let alone = fresh_reads(bench, &ours, &folder, SELDOM)?;
        let raced = fresh_reads(bench, &ours, &folder, WITHOUT_PAUSE)?;
        let once = quantile(&alone, 0.5).ok_or("nothing was read")?;
        let won = raced.iter().filter(|&&took| f64::from(took) <= LOST * once).count();
        // One at least, so that there is a number.
        let share = won.max(1) as f64 / raced.len() as f64;
        racing.add_run(once / share, quantile(&raced, 0.99).ok_or("nothing was read")?);
        calm.add_run(once, quantile(&alone, 0.99).ok_or("nothing was read")?);
    }
    report.push(Row::new("hot-64k", "one-try", (racing, calm), Target::Ratio(0.95)));
    Ok(())
}

/// How long each read took that met another value than the one before. Only those have bytes to fetch from the writer's
/// processor, and only those can have lost a race.
fn fresh_reads(bench: &Bench, ours: &Ours, folder: &Path, pace: &str) -> Outcome<Vec<f32>> {
    let writer = Child::ready("overwrite", folder, &[&LENGTH.to_string(), pace])?;
    let (key, mut value, mut known, mut took) = (name(0), Vec::new(), None, Vec::new());
    let mut now = clock::now();
    // Long enough for both to have been on a processor at the same time, also on a busy machine.
    let end = now + (bench.slice_nanoseconds() as u64).max(100_000_000);
    while now < end {
        let revision = ours.store.read_encoded(&key, &mut value)?;
        if value.len() != LENGTH {
            return fail("half a value was read");
        }
        let after = clock::now();
        if revision != known && known.is_some() {
            took.push((after - now) as f32);
        }
        (known, now) = (revision, after);
    }
    writer.end()?;
    Ok(took)
}
