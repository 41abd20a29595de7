//! A shared integer: every increment gets its own result, however many count at once.

use std::{collections::BTreeSet, thread};

use shmsync::{ErrorKind, Sync};

fn main() -> shmsync::Result<()> {
    let store = Sync::open(format!("example-counter-{}", std::process::id()))?;
    let tickets = store.integer("tickets");
    assert_eq!(tickets.known(), 0);
    assert_eq!(tickets.refresh().unwrap_err().kind(), ErrorKind::Absent);

    let draw = || (0..100).map(|_| store.integer("tickets").increment(1)).collect::<shmsync::Result<Vec<i64>>>();
    let drawn = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(draw)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<shmsync::Result<Vec<_>>>()
    })?;
    let distinct: BTreeSet<i64> = drawn.into_iter().flatten().collect();
    assert_eq!(distinct, (1..=800).collect());

    // An integer is a value like any other, and never leaves its range silently.
    assert_eq!(store.get::<i64>("tickets")?, Some(800));
    tickets.set(i64::MAX)?;
    assert_eq!(tickets.increment(1).unwrap_err().kind(), ErrorKind::Overflow);
    assert_eq!(tickets.refresh()?, i64::MAX);

    println!("800 tickets, none of them twice");
    store.destroy()
}
