//! Wants a lock: takes turns, holds it until it is killed, sleeps for it.

use std::{path::Path, thread, time::Duration};

use super::{Parent, idle::processor_time};
use crate::{
    clock,
    failure::{Outcome, fail},
    peer::{Bare, Ours, Peer, RobustMutex},
};

/// Takes turns in a window of time, and tells how many followed one of somebody else.
pub(super) fn turns(folder: &Path, words: &[&str]) -> Outcome<()> {
    let [peer, me] = words else { return fail("whose turns, and which of two am I?") };
    let (me, page, mut turns) = (me.parse::<u32>()?, Bare::open(folder)?, 0_u64);
    let lock = Ours::open(folder)?.store.lock("turns")?;
    drop(lock.acquire()?);
    Parent.ready();
    let (start, end) = Parent.window()?;
    clock::wait_until(start);
    loop {
        let now = if *peer == Ours::NAME {
            let guard = lock.acquire()?;
            turns += u64::from(page.enter(me) != me);
            drop(guard);
            clock::now()
        } else {
            page.await_turn(me);
            turns += 1;
            let now = clock::now();
            page.pass();
            now
        };
        if now >= end {
            break;
        }
    }
    Parent.tell(turns);
    Ok(())
}

/// Holds it until it is killed.
pub(super) fn hold(folder: &Path, words: &[&str]) -> Outcome<()> {
    if words == [Ours::NAME] {
        let guard = Ours::open(folder)?.store.lock("turns")?.acquire()?;
        // Until its thread has told the kernel whom to tell, deaths are found out by looking.
        thread::sleep(Duration::from_millis(30));
        Parent.ready();
        Parent.wait_for_the_end();
        drop(guard);
        return Ok(());
    }
    let mutex = RobustMutex::open(folder, false)?;
    mutex.lock()?;
    Parent.ready();
    Parent.wait_for_the_end();
    mutex.unlock()
}

/// Sleeps for a lock that it does not get, and tells the processor time that this took.
pub(super) fn sleeper(folder: &Path, _words: &[&str]) -> Outcome<()> {
    let lock = Ours::open(folder)?.store.lock("turns")?;
    Parent.ready();
    let (start, end) = Parent.window()?;
    thread::spawn(move || drop(lock.acquire()));
    let until = |moment: u64| thread::sleep(Duration::from_nanos(moment.saturating_sub(clock::now())));
    until(start);
    let before = processor_time()?;
    until(end);
    Parent.tell(processor_time()? - before);
    Ok(())
}
