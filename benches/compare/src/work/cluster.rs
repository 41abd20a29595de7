//! The same calls on a cluster of one member, beside the client that they are made with.

use shmsync::Sync;

use crate::{
    bench::Bench,
    duel::{Side, duel_of},
    failure::Outcome,
    peer::Etcd,
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

/// Operations of a run.
const ROUNDS: usize = 500;
/// No more than a fifth above the bare client.
const TARGET: Target = Target::Ratio(1.0 / 1.2);

pub(crate) fn get(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside("etcd-get", bench, report, |store, etcd| {
        store.set_bytes("key", &[7; 64])?;
        etcd.set(&[7; 64])?;
        let ours = || Ok(store.get_bytes("key")?.map_or(0, |bytes| bytes.len()) as u64);
        duel_of(bench, ROUNDS, &mut summed(ours), &mut summed(|| Ok(etcd.get()? as u64)))
    })
}

pub(crate) fn set(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside("etcd-set", bench, report, |store, etcd| {
        let ours = || Ok(store.set_bytes("key", &[7; 64]).map(|_| 0)?);
        duel_of(bench, ROUNDS, &mut summed(ours), &mut summed(|| etcd.set(&[7; 64]).map(|()| 0)))
    })
}

pub(crate) fn set_checked(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside("etcd-set-checked", bench, report, |store, etcd| {
        etcd.set(&[7; 64])?;
        let ours = || Ok(store.set_bytes("key", &[7; 64]).map(|_| 0)?);
        duel_of(bench, ROUNDS, &mut summed(ours), &mut summed(|| etcd.set_checked(&[7; 64]).map(|()| 0)))
    })
}

pub(crate) fn increment(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside("etcd-increment", bench, report, |store, etcd| {
        let count = store.integer("count");
        let ours = || Ok(count.increment(1)? as u64);
        duel_of(bench, ROUNDS, &mut summed(ours), &mut summed(|| Ok(etcd.add(1)? as u64)))
    })
}

pub(crate) fn lock(bench: &Bench, report: &mut Report) -> Outcome<()> {
    beside("etcd-lock", bench, report, |store, etcd| {
        let lock = store.lock("deploy")?;
        let ours = || Ok(u64::from(lock.acquire()?.release()?));
        duel_of(bench, ROUNDS, &mut summed(ours), &mut summed(|| etcd.lock_and_unlock().map(|()| 1)))
    })
}

fn beside(
    work: &'static str,
    bench: &Bench,
    report: &mut Report,
    measure: impl FnOnce(&Sync, &mut Etcd) -> Outcome<(crate::figures::Figures, crate::figures::Figures)>,
) -> Outcome<()> {
    let Some(mut etcd) = Etcd::start(&bench.fresh("etcd")?)? else {
        report.not_installed(work, Etcd::NAME);
        return Ok(());
    };
    let store = Sync::open(etcd.name())?;
    let figures = measure(&store, &mut etcd)?;
    report.push(Row::new(work, Etcd::NAME, figures, TARGET));
    Ok(())
}

fn summed(mut operation: impl FnMut() -> Outcome<u64>) -> impl Side {
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0_u64;
        tape.operations(operations, || {
            sum = sum.wrapping_add(operation()?);
            Ok(())
        })?;
        Ok(sum)
    }
}
