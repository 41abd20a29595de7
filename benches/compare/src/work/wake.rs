//! From a change until another process has it that slept.

use std::{path::Path, thread::sleep, time::Duration};

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::Figures,
    keys::name,
    peer::{Bare, Ours, Peer},
    report::Report,
    role::LAST,
    row::{Row, Target},
};

/// Long enough for a woken process to sleep again.
const PAUSE: Duration = Duration::from_micros(300);

pub(crate) fn watch_wake(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there) = (bench.fresh("ours")?, bench.fresh("bare")?);
    let (store, page, key) = (Ours::open(&here)?.store, Bare::open(&there)?, name(0));
    store.set(&key, &1_u64)?;
    let (mut ours, mut bare) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        run(bench, &here, Ours::NAME, &mut ours, |message| Ok(store.set(&key, &message).map(drop)?))?;
        run(bench, &there, Bare::NAME, &mut bare, |message| {
            page.send(message);
            Ok(())
        })?;
    }
    report.push(Row::new("watch-wake", Bare::NAME, (ours, bare), Target::TimesAndMore(2.0, 2_000.0)));
    Ok(())
}

fn run(
    bench: &Bench,
    folder: &Path,
    peer: &str,
    figures: &mut Figures,
    mut send: impl FnMut(u64) -> Outcome<()>,
) -> Outcome<()> {
    let messages = if bench.quick { 200 } else { 2_000 };
    let mut sleeper = Child::ready("wake", folder, &[peer])?;
    for _ in 0..messages {
        sleep(PAUSE);
        send(clock::now())?;
    }
    sleep(PAUSE);
    send(LAST)?;
    let [woken, middle, p99] = sleeper.numbers()?[..] else { return fail("a sleeper told too little") };
    // Of two changes in one nap only the second one is told.
    if !bench.quick && woken < f64::from(messages) / 2.0 {
        return fail(format!(
            "{peer}: of {messages} messages only {woken} found somebody asleep; is the machine busy?"
        ));
    }
    figures.add_run(middle, p99);
    sleeper.end()
}
