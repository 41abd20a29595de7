//! One operation each microsecond, and when each was done.

use std::path::Path;

use super::Parent;
use crate::{
    bench::SEED,
    clock,
    failure::{Outcome, fail},
    figures::quantile,
    keys::{Keys, Walk},
    peer::{Bare, Ours, Peer},
    value::Value,
};

/// A million a second.
const PACE: u64 = 1_000;
const KEYS: u32 = 1_000;
/// Operations before the first one that counts.
const WARM_UP: u64 = 10_000;
/// What is told of the times.
pub(crate) const SHARES: [f64; 5] = [0.5, 0.99, 0.999, 0.9999, 1.0];

/// The words: who, and whether it reads or writes.
pub(super) fn tail(folder: &Path, words: &[&str]) -> Outcome<()> {
    let (mut walk, mut value, mut found) = (Walk::new(&Keys::shuffled(0..KEYS, SEED)), Value::small(), Vec::new());
    match words {
        [Bare::NAME, _] => paced(|_| Ok(())),
        [Ours::NAME, "get"] => {
            let mut ours = Ours::open(folder)?;
            paced(|_| ours.get(walk.step(), &mut found))
        }
        [Ours::NAME, "set"] => {
            let mut ours = Ours::open(folder)?;
            paced(|number| ours.set(walk.step(), value.of(number)))
        }
        _ => fail("whose tail?"),
    }
}

/// Tells how long after its moment each operation was done: one that has to wait for the one before is late, too.
fn paced(mut operation: impl FnMut(u64) -> Outcome<()>) -> Outcome<()> {
    (0..WARM_UP).try_for_each(&mut operation)?;
    Parent.ready();
    let (start, end) = Parent.window()?;
    let mut times = Vec::with_capacity(((end - start) / PACE) as usize);
    for (number, moment) in (start..end).step_by(PACE as usize).enumerate() {
        clock::wait_until(moment);
        operation(number as u64)?;
        times.push((clock::now() - moment) as f32);
    }
    let told: Option<Vec<String>> = SHARES.iter().map(|&share| Some(quantile(&times, share)?.to_string())).collect();
    Parent.tell(told.ok_or("the window was over before it began")?.join(" "));
    Ok(())
}
