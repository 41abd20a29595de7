//! A lock that nobody else wants, and a leader who asks whether it still is one.

use std::{
    fs::File,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use nix::fcntl::{Flock, FlockArg};

use crate::{
    bench::Bench,
    duel::{Side, duel},
    failure::Outcome,
    peer::{self, Ours, Peer, RobustMutex},
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

pub(crate) fn lock(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (here, there) = (bench.fresh("ours")?, bench.fresh("mutex")?);
    let lock = Ours::open(&here)?.store.lock("deploy")?;
    let mut ours = repeated(|| Ok(lock.acquire().map(drop)?));
    let mut file = Some(File::create(there.join("flock"))?);
    let mut flock = repeated(|| {
        let free = file.take().ok_or("the file was lost by an earlier error")?;
        let locked = Flock::lock(free, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        file = Some(locked.unlock().map_err(|(_, error)| error)?);
        Ok(())
    });
    let figures = duel(bench, &mut ours, &mut flock)?;
    report.push(Row::new("lock", peer::Flock::NAME, figures, Target::Ratio(6.0)));
    let mutex = RobustMutex::open(&there, true)?;
    let figures = duel(bench, &mut ours, &mut repeated(|| mutex.lock().and_then(|_| mutex.unlock())))?;
    report.push(Row::new("lock", RobustMutex::NAME, figures, Target::Ratio(1.0 / 6.0)));
    Ok(())
}

/// Beside a word that another thread could change.
pub(crate) fn is_revoked(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let leadership = Ours::open(&bench.fresh("ours")?)?.store.leader("group")?.elect("me")?;
    let word = AtomicBool::new(false);
    let (mut ours, mut bare) = (asked(|| leadership.is_revoked()), asked(|| std::hint::black_box(&word).load(Relaxed)));
    let figures = duel(bench, &mut ours, &mut bare)?;
    report.push(Row::new("is-revoked", "atomic", figures, Target::Nanoseconds(5.0)));
    Ok(())
}

fn repeated(mut operation: impl FnMut() -> Outcome<()>) -> impl Side {
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        tape.operations(operations, &mut operation)?;
        Ok(0)
    }
}

fn asked(mut question: impl FnMut() -> bool) -> impl Side {
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0;
        tape.operations(operations, || {
            sum += u64::from(question());
            Ok(())
        })?;
        Ok(sum)
    }
}
