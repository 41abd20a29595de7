//! How long the slowest operations take, where one process reads and another one writes, each a million times a second.

use std::path::Path;

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::Figures,
    peer::{Bare, Ours, Peer, fill},
    report::Report,
    role::SHARES,
    row::{Row, Target},
    value::Value,
};

/// The rows, in the order of `SHARES`.
const GET: [&str; 5] = ["tails-get-p50", "tails-get-p99", "tails-get-p99.9", "tails-get-p99.99", "tails-get-max"];
const SET: [&str; 5] = ["tails-set-p50", "tails-set-p99", "tails-set-p99.9", "tails-set-p99.99", "tails-set-max"];
/// A microsecond more than an empty loop shows on this machine.
const TARGET: Target = Target::TimesAndMore(1.0, 1_000.0);
const NOTICE: u64 = 20_000_000;

/// The times of one side: of who reads, and of who writes.
#[derive(Default, Clone)]
struct Tails {
    get: [Figures; 5],
    set: [Figures; 5],
}

pub(crate) fn tails(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    fill(&mut Ours::open(&folder)?, &bench.keys(1_000), &mut Value::small())?;
    let (mut ours, mut bare) = (Tails::default(), Tails::default());
    for _ in 0..bench.runs {
        run(bench, &folder, Ours::NAME, &mut ours)?;
        run(bench, &folder, Bare::NAME, &mut bare)?;
    }
    for (names, ours, bare) in [(GET, ours.get, bare.get), (SET, ours.set, bare.set)] {
        for ((name, figures), share) in names.into_iter().zip(ours.into_iter().zip(bare)).zip(SHARES) {
            let target = if share == 0.9999 { TARGET } else { Target::Reported };
            report.push(Row::new(name, Bare::NAME, figures, target));
        }
    }
    Ok(())
}

fn run(bench: &Bench, folder: &Path, peer: &str, tails: &mut Tails) -> Outcome<()> {
    let mut reader = Child::ready("tail", folder, &[peer, "get"])?;
    let mut writer = Child::ready("tail", folder, &[peer, "set"])?;
    let start = clock::now() + NOTICE;
    let window = format!("{start} {}", start + if bench.quick { 50_000_000 } else { 2_000_000_000 });
    reader.tell(&window)?;
    writer.tell(&window)?;
    for (mut child, figures) in [(reader, &mut tails.get), (writer, &mut tails.set)] {
        let told = child.numbers()?;
        if told.len() != figures.len() {
            return fail("a process told too little");
        }
        figures.iter_mut().zip(told).for_each(|(figures, number)| figures.add_result(number));
        child.end()?;
    }
    Ok(())
}
