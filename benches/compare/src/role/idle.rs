//! A watcher to whom nothing happens, and somebody who changes everything else.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

use super::Parent;
use crate::{
    bench::SEED,
    clock,
    failure::{Outcome, fail},
    keys::{Keys, Walk, name},
    peer::{Ours, Peer},
    value::Value,
};

const WATCHED: u32 = 3;
/// Ten thousand a second.
const PACE: u64 = 100_000;

/// Watches three keys, and tells the processor time that this took.
pub(super) fn idle(folder: &Path, _words: &[&str]) -> Outcome<()> {
    let store = Ours::open(folder)?.store;
    let names: Vec<String> = (0..WATCHED).map(|number| name(number as usize)).collect();
    let mut watch = store.watch_keys(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    for _ in &names {
        watch.next().ok_or("the watch ended")??;
    }
    Parent.ready();
    let (start, end) = Parent.window()?;
    std::thread::sleep(Duration::from_nanos(start.saturating_sub(clock::now())));
    let before = processor_time()?;
    let deadline = Instant::now() + Duration::from_nanos(end.saturating_sub(clock::now()));
    if watch.next_deadline(deadline)?.is_some() {
        return fail("a watched key was changed");
    }
    Parent.tell(processor_time()? - before);
    Ok(())
}

pub(super) fn processor_time() -> Outcome<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times.iter().map(|time| time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000).sum())
}

/// Overwrites other keys, and tells how many. The word: how many keys there are.
pub(super) fn paced(folder: &Path, words: &[&str]) -> Outcome<()> {
    let [count] = words else { return fail("among how many keys?") };
    let mut ours = Ours::open(folder)?;
    let (mut walk, mut value) = (Walk::new(&Keys::shuffled(WATCHED..count.parse()?, SEED)), Value::small());
    Parent.ready();
    let (start, end) = Parent.window()?;
    let mut sets = 0;
    loop {
        let next = start + sets * PACE;
        if next >= end {
            break;
        }
        clock::wait_until(next);
        ours.set(walk.step(), value.of(sets))?;
        sets += 1;
    }
    // Somebody who came too late has changed as much, but not as evenly.
    let late = clock::now().saturating_sub(end) / 1_000_000;
    Parent.tell(format!("{sets} {late}"));
    Ok(())
}
