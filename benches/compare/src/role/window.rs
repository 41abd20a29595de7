//! Does the same again and again between two moments, beside others who do the same.

use std::path::Path;

use super::Parent;
use crate::{
    bench::SEED,
    clock,
    failure::{Outcome, fail},
    figures::quantile,
    keys::{Keys, Walk},
    peer::{Lmdb, Ours, Peer},
    tape::Tape,
    value::{Value, sum_of},
};

/// Keys of each process that has keys of its own.
const OWN: u32 = 500;
const BATCH: usize = 16;

/// The words: who, what, and the number of this process.
pub(super) fn window(folder: &Path, words: &[&str]) -> Outcome<()> {
    let [peer, what, number] = words else { return fail("whose window?") };
    let number = number.parse()?;
    match *peer {
        Ours::NAME => work(Ours::open(folder)?, what, number),
        Lmdb::NAME => work(Lmdb::open(folder)?, what, number),
        _ => fail(format!("nobody is called {peer:?}")),
    }
}

fn work<P: Peer>(mut peer: P, what: &str, number: u32) -> Outcome<()> {
    match what {
        "get" => {
            let (mut walk, mut value) = (Walk::new(&Keys::shuffled(0..1, SEED)), Vec::new());
            let mut first = 0;
            timed(|| {
                peer.get(walk.step(), &mut value)?;
                // Nobody writes: one value, whole, all the time.
                let sum = sum_of(&value);
                first = if first == 0 { sum } else { first };
                if sum == first { Ok(()) } else { fail("another value was read") }
            })
        }
        "set" => write(peer, &Keys::shuffled(number * OWN..(number + 1) * OWN, SEED)),
        "set-same" => write(peer, &Keys::shuffled(0..1, SEED)),
        "add" => timed(|| peer.add(1).map(drop)),
        _ => fail(format!("nobody knows how to {what:?}")),
    }
}

fn write<P: Peer>(mut peer: P, keys: &std::rc::Rc<Keys>) -> Outcome<()> {
    let (mut walk, mut value, mut number) = (Walk::new(keys), Value::small(), 0);
    for key in keys.iter() {
        peer.set(key, value.of(0))?;
    }
    timed(|| {
        number += 1;
        peer.set(walk.step(), value.of(number))
    })
}

/// Tells how many operations there were, and the p99 of their batches.
fn timed(mut operation: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    let mut tape = Tape::new(BATCH);
    // Whatever is done for the first time is done before.
    for _ in 0..BATCH {
        operation()?;
    }
    Parent.ready();
    let (start, end) = Parent.window()?;
    clock::wait_until(start);
    tape.until(end, operation)?;
    let p99 = quantile(&tape.samples, 0.99).ok_or("the window was over before it began")?;
    Parent.tell(format!("{} {p99} {BATCH}", tape.count));
    Ok(())
}
