//! Opening a store that others use.

use std::path::Path;

use crate::{
    bench::Bench,
    child::Child,
    failure::Outcome,
    figures::Figures,
    peer::{Lmdb, Ours, Peer, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

const LONGEST: f64 = 200_000.0;
/// So many fresh processes per run.
const OPENED: usize = 11;

pub(crate) fn attach(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there, keys) = (bench.fresh("ours")?, bench.fresh("lmdb")?, bench.keys(bench.many));
    fill(&mut Ours::open(&here)?, &keys, &mut Value::small())?;
    fill(&mut Lmdb::open(&there)?, &keys, &mut Value::small())?;
    let others = if bench.quick { 10 } else { 100 };
    let sit = |_| Child::ready("sit", &here, &[]);
    let sitters = (0..others).map(sit).collect::<Outcome<Vec<_>>>()?;
    let (mut ours, mut lmdb) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        open(&here, Ours::NAME, &mut ours)?;
        open(&there, Lmdb::NAME, &mut lmdb)?;
    }
    drop(sitters);
    let limit = (ours.clone(), Figures::fixed(LONGEST));
    report.push(Row::new("attach", "limit", limit, Target::Nanoseconds(LONGEST)));
    report.push(Row::new("attach", Lmdb::NAME, (ours, lmdb), Target::Reported));
    Ok(())
}

fn open(folder: &Path, peer: &str, figures: &mut Figures) -> Outcome<()> {
    let mut run = Figures::default();
    for _ in 0..OPENED {
        let mut child = Child::start("attach", folder, &[peer])?;
        let took = child.hear()?.parse()?;
        run.add_run(took, took);
        child.end()?;
    }
    figures.add_run(run.median(), run.p99().unwrap_or(f64::NAN));
    Ok(())
}
