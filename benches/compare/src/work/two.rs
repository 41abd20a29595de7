//! Two processes at once, beside one alone.

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::Figures,
    peer::{Bare, Lmdb, Ours, Peer, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

/// A process is nearly as fast beside another one as alone.
const NEARLY: Target = Target::Ratio(0.77);
/// Four million a second.
const FOUR_MILLION: f64 = 250.0;
/// From the announcement of a window to its beginning: time for all to wake up.
const NOTICE: u64 = 20_000_000;

pub(crate) fn get_2p(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside_one(bench, report, "get-2p", "get", Target::Ratio(0.83))
}

pub(crate) fn set_2p(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside_one(bench, report, "set-2p", "set", NEARLY)
}

pub(crate) fn set_2p_same(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside_one(bench, report, "set-2p-same", "set-same", Target::Reported)
}

fn beside_one(bench: &Bench, report: &mut Report, work: &'static str, what: &str, target: Target) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    let mut ours = Ours::open(&folder)?;
    fill(&mut ours, &bench.keys(1), &mut Value::small())?;
    let (mut both, mut alone) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        let crowd = Crowd::run(bench, &folder, Ours::NAME, what, 2)?;
        both.add_run(crowd.each(), crowd.p99);
        let crowd = Crowd::run(bench, &folder, Ours::NAME, what, 1)?;
        alone.add_run(crowd.each(), crowd.p99);
    }
    report.push(Row::new(work, Bare::NAME, (both, alone), target));
    Ok(())
}

pub(crate) fn increment_2p(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there) = (bench.fresh("ours")?, bench.fresh("lmdb")?);
    let (mut ours, mut lmdb) = (Figures::default(), Figures::default());
    let mut counted = (0, 0);
    for _ in 0..bench.runs {
        let crowd = Crowd::run(bench, &here, Ours::NAME, "add", 2)?;
        ours.add_run(crowd.together(), crowd.p99);
        counted.0 += crowd.all_operations();
        let crowd = Crowd::run(bench, &there, Lmdb::NAME, "add", 2)?;
        lmdb.add_run(crowd.together(), crowd.p99);
        counted.1 += crowd.all_operations();
    }
    let found = (Ours::open(&here)?.add(0)?, Lmdb::open(&there)?.add(0)?);
    if found != counted {
        return fail(format!("{counted:?} increments were made, the numbers are {found:?}"));
    }
    report.push(Row::new("increment-2p", Lmdb::NAME, (ours, lmdb), Target::Nanoseconds(FOUR_MILLION)));
    Ok(())
}

/// What several processes did in one window.
struct Crowd {
    nanoseconds: f64,
    operations: Vec<f64>,
    /// Operations that each did before the window.
    before: f64,
    /// Of the slowest process.
    p99: f64,
}

impl Crowd {
    fn run(bench: &Bench, folder: &std::path::Path, peer: &str, what: &str, processes: usize) -> Outcome<Self> {
        let start = |number: usize| Child::ready("window", folder, &[peer, what, &number.to_string()]);
        let mut children = (0..processes).map(start).collect::<Outcome<Vec<_>>>()?;
        let (begin, nanoseconds) = (clock::now() + NOTICE, bench.slice_nanoseconds());
        let window = format!("{begin} {}", begin + nanoseconds as u64);
        children.iter_mut().try_for_each(|child| child.tell(&window))?;
        let mut crowd = Self { nanoseconds, operations: vec![], before: 0.0, p99: 0.0 };
        for mut child in children {
            let [operations, p99, before] = child.numbers()?[..] else { return fail("a process told too little") };
            crowd.operations.push(operations);
            (crowd.before, crowd.p99) = (before, crowd.p99.max(p99));
            child.end()?;
        }
        Ok(crowd)
    }

    /// Nanoseconds per operation of one process.
    fn each(&self) -> f64 {
        self.nanoseconds * self.operations.len() as f64 / self.operations.iter().sum::<f64>()
    }

    /// Nanoseconds per operation of all.
    fn together(&self) -> f64 {
        self.nanoseconds / self.operations.iter().sum::<f64>()
    }

    fn all_operations(&self) -> i64 {
        self.operations.iter().map(|operations| (operations + self.before) as i64).sum()
    }
}
