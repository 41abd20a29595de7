//! What a watch costs while nothing happens to what is watched.

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::Figures,
    peer::{Ours, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

/// One percent of a second.
const MOST: f64 = 10_000_000.0;
const NOTICE: u64 = 20_000_000;

pub(crate) fn watch_cost(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    fill(&mut Ours::open(&folder)?, &bench.keys(bench.many), &mut Value::small())?;
    let seconds = if bench.quick { 0.2 } else { 2.0 };
    let mut cost = Figures::default();
    for _ in 0..bench.runs {
        let mut watcher = Child::ready("idle", &folder, &[])?;
        let mut writer = Child::ready("paced", &folder, &[&bench.many.to_string()])?;
        let start = clock::now() + NOTICE;
        let window = format!("{start} {}", start + (seconds * 1e9) as u64);
        watcher.tell(&window)?;
        writer.tell(&window)?;
        let ([spent], [sets, late]) = (&watcher.numbers()?[..], &writer.numbers()?[..]) else {
            return fail("a process told too little");
        };
        if !bench.quick && *late > 1e3 * seconds {
            return fail(format!("{sets} sets came {late} ms too late; is the machine busy?"));
        }
        // A watcher that the clock of processor time has not seen at all took less than its tick.
        let spent = spent.max(1.0) / seconds;
        cost.add_run(spent, spent);
        watcher.end()?;
        writer.end()?;
    }
    report.push(Row::new("watch-cost", "limit", (cost, Figures::fixed(MOST)), Target::Nanoseconds(MOST)));
    Ok(())
}
