//! What must hold when all have parked.

use std::{
    path::Path,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use shmsync::Sync;

use super::{
    board::{Board, COUNTERS, LANES, OWN},
    helper::Answer,
    turns,
    worker::{ACCOUNTS, MONEY, account, number_of},
};

/// Puts in what a store begins with.
pub fn found(path: &Path, capacity: u64) -> Answer {
    let store = Sync::options().capacity(capacity).open(path).map_err(|error| format!("{error:?}"))?;
    let set = |number| store.integer(&account(number)).set(MONEY / ACCOUNTS as i64);
    (0..ACCOUNTS).try_for_each(set).map_err(|error| format!("{error:?}"))?;
    Ok(String::new())
}

/// Looks at everything; the bytes in use and allocated.
pub fn all(board: &Board, path: &Path) -> Answer {
    let store = Sync::open(path).map_err(|error| format!("open: {error:?}"))?;
    let problems = store.verify().map_err(|error| format!("verify: {error:?}"))?.problems;
    if !problems.is_empty() {
        return Err(format!("verify: {problems:#?}"));
    }
    whole(board, &store).map_err(|error| format!("{error:?}"))??;
    let stats = store.stats().map_err(|error| format!("{error:?}"))?;
    Ok(format!("{} {}", stats.used_bytes, stats.allocated_bytes))
}

fn whole(board: &Board, store: &Sync) -> shmsync::Result<Result<(), String>> {
    for lane in 0..LANES {
        for which in 0..OWN {
            let tally = &board.lanes[lane].own[which];
            let found = store.get_bytes(&format!("own/{lane}/{which}"))?;
            let number = found.as_deref().map_or(Some(0), number_of);
            let (done, begun) = (tally.done.load(SeqCst), tally.begun.load(SeqCst));
            if number.is_none_or(|number| number < done || number > begun) {
                return Ok(Err(format!("own/{lane}/{which} is {number:?}, acknowledged {done}, begun {begun}")));
            }
        }
    }
    for which in 0..COUNTERS {
        let count = store.integer(&format!("count/{which}")).get()?.unwrap_or(0) as u64;
        let (done, begun) = board.sums(|lane| &lane.counters[which]);
        if !(done..=begun).contains(&count) {
            return Ok(Err(format!("counter {which} is {count}, acknowledged {done}, begun {begun}")));
        }
    }
    let (inside, (done, begun)) = (store.get_or("inside/a", 0)?, board.sums(|lane| &lane.exclusive));
    if !(done..=begun).contains(&inside) {
        return Ok(Err(format!("{inside} times inside, acknowledged {done}, begun {begun}")));
    }
    let sum: i64 = store.read_all::<i64>("acct/")?.values().sum();
    if sum != MONEY {
        return Ok(Err(format!("the accounts hold {sum}")));
    }
    std::thread::sleep(Duration::from_millis(25));
    let late = store.keys("ttl/")?.len();
    if late > 0 {
        return Ok(Err(format!("{late} entries live longer than they should")));
    }
    turns::none_is_left(store)
}

/// Nobody sees an entry of a process that is dead; for how many milliseconds somebody did all the same.
///
/// The death of a process without a watching thread is told by a byte that it had locked. A child that it was just forking
/// when it died has that lock too, until it runs for the first time and lets it go.
pub fn is_orphaned(path: &Path, pid: u32) -> Answer {
    let Ok(store) = Sync::open(path) else { return Ok("0".to_owned()) };
    let begun = Instant::now();
    let is_seen = || (0..LANES).any(|lane| store.get::<u32>(&format!("proc/{lane}")).ok().flatten() == Some(pid));
    while is_seen() {
        if begun.elapsed() > Duration::from_secs(2) {
            let there = store.participants().map_err(|error| format!("{error:?}"))?;
            let itself: Vec<_> = there.iter().filter(|participant| participant.pid == pid).collect();
            return Err(format!("an entry of process {pid}, which is dead, is still seen: {itself:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(begun.elapsed().as_millis().to_string())
}
