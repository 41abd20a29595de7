//! Locks that others want: handed over, left by the dead, slept for by many.

use std::{path::Path, thread, time::Duration};

use crate::{
    bench::Bench,
    child::Child,
    clock,
    failure::{Outcome, fail},
    figures::{Figures, quantile},
    peer::{Bare, Ours, Peer, RobustMutex},
    report::Report,
    row::{Row, Target},
};

const NOTICE: u64 = 20_000_000;
const SLEEPERS: usize = 150;
/// Half a percent of a second.
const MOST: f64 = 5_000_000.0;
/// Long enough for whoever wants a lock to sleep.
const PAUSE: Duration = Duration::from_millis(2);

/// Two processes that want one lock all the time, beside two that wake each other by a futex.
pub(crate) fn hand_over(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there) = (bench.fresh("ours")?, bench.fresh("bare")?);
    let (mut ours, mut bare) = (Figures::default(), Figures::default());
    for _ in 0..bench.runs {
        ours.add_result(each_turn(bench, &here, Ours::NAME)?);
        bare.add_result(each_turn(bench, &there, Bare::NAME)?);
    }
    report.push(Row::new("hand-over", Bare::NAME, (ours, bare), Target::Ratio(0.5)));
    Ok(())
}

fn each_turn(bench: &Bench, folder: &Path, peer: &str) -> Outcome<f64> {
    let mut pair = [Child::ready("turns", folder, &[peer, "0"])?, Child::ready("turns", folder, &[peer, "1"])?];
    let start = clock::now() + NOTICE;
    let window = format!("{start} {}", start + bench.slice.as_nanos() as u64);
    pair.iter_mut().try_for_each(|child| child.tell(&window))?;
    let mut turns = 0.0;
    for mut child in pair {
        turns += child.numbers()?.iter().sum::<f64>();
        child.end()?;
    }
    if turns == 0.0 { fail("nothing was handed over") } else { Ok(bench.slice_nanoseconds() / turns) }
}

/// From before the signal that kills the owner until who waited has it.
pub(crate) fn owner_killed(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there) = (bench.fresh("ours")?, bench.fresh("mutex")?);
    let lock = Ours::open(&here)?.store.lock("turns")?;
    let mutex = RobustMutex::open(&there, true)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..if bench.quick { 20 } else { 1_000 } {
        ours.push(kill(Child::ready("hold", &here, &[Ours::NAME])?, || {
            let guard = lock.acquire()?;
            Ok((clock::now(), guard.previous_owner_died()))
        })?);
        bare.push(kill(Child::ready("hold", &there, &[RobustMutex::NAME])?, || {
            let died = mutex.lock()?;
            let now = clock::now();
            mutex.unlock()?;
            Ok((now, died))
        })?);
    }
    for (name, share, most) in [("owner-killed-p50", 0.5, 100_000.0), ("owner-killed-p99", 0.99, 1_000_000.0)] {
        let of = |samples: &[f32]| quantile(samples, share).map(Figures::fixed).ok_or("nobody was killed");
        report.push(Row::new(name, RobustMutex::NAME, (of(&ours)?, of(&bare)?), Target::Nanoseconds(most)));
    }
    Ok(())
}

fn kill(owner: Child, wait: impl FnOnce() -> Outcome<(u64, bool)>) -> Outcome<f32> {
    thread::scope(|scope| {
        let killer = scope.spawn(move || {
            thread::sleep(PAUSE);
            let start = clock::now();
            drop(owner);
            start
        });
        let (end, died) = wait()?;
        let start = killer.join().map_err(|_| "the killer failed")?;
        if died { Ok(end.saturating_sub(start) as f32) } else { fail("nobody tells that the owner died") }
    })
}

/// Processor time of all together, for each second.
pub(crate) fn lock_sleepers(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let folder = bench.fresh("ours")?;
    let _held = Ours::open(&folder)?.store.lock("turns")?.acquire()?;
    let start_one = |_| Child::ready("sleeper", &folder, &[]);
    let mut sleepers = (0..SLEEPERS).map(start_one).collect::<Outcome<Vec<_>>>()?;
    let seconds = if bench.quick { 0.5 } else { 10.0 };
    // All sleep by then.
    let start = clock::now() + 1_000_000_000;
    let window = format!("{start} {}", start + (seconds * 1e9) as u64);
    sleepers.iter_mut().try_for_each(|child| child.tell(&window))?;
    let mut spent = 0.0;
    for mut child in sleepers {
        spent += child.numbers()?.iter().sum::<f64>();
    }
    // What the clock of processor time has not seen at all took less than its tick.
    let cost = Figures::fixed(spent.max(1.0) / seconds);
    report.push(Row::new("lock-sleepers", "limit", (cost, Figures::fixed(MOST)), Target::Nanoseconds(MOST)));
    Ok(())
}
