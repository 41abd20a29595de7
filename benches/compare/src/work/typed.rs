//! Values with a type: read, and decoded.

use std::{rc::Rc, sync::PoisonError};

use serde::{Deserialize, Serialize};

use crate::{
    bench::Bench,
    duel::{Side, duel},
    failure::Outcome,
    keys::{Key, Keys, Walk},
    peer::{HashMapped, Ours, Peer},
    report::Report,
    row::{Row, Target},
    tape::Tape,
};

#[derive(Serialize, Deserialize)]
struct Job {
    id: u64,
    state: String,
    progress: f64,
    retries: u32,
    done: bool,
}

impl Job {
    fn new(number: usize) -> Self {
        let state = ["waiting", "running", "finished"][number % 3].to_owned();
        Self {
            id: number as u64,
            state,
            progress: number as f64 / 8.0,
            retries: number as u32 % 5,
            done: number % 3 == 2,
        }
    }

    /// Something of each field.
    fn sum(&self) -> u64 {
        self.id + self.state.len() as u64 + self.progress as u64 + u64::from(self.retries) + u64::from(self.done)
    }
}

pub(crate) fn get_typed_1k(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (keys, ours, mut map) = (bench.keys(1_000), Ours::open(&bench.fresh("ours")?)?, HashMapped::default());
    let mut encoded = Vec::new();
    for key in keys.iter() {
        ours.store.set(key.text, &Job::new(key.number))?;
        // The same bytes on both sides.
        ours.store.read_encoded(key.text, &mut encoded)?;
        map.set(key, &encoded)?;
    }
    let mut in_store = decoding(&keys, |key| Ok(ours.store.get::<Job>(key.text)?.ok_or("a key is missing")?));
    let mut in_map = decoding(&keys, |key| {
        let map = map.map.read().unwrap_or_else(PoisonError::into_inner);
        Ok(rmp_serde::from_slice(map.get(key.text).ok_or("a key is missing")?)?)
    });
    let figures = duel(bench, &mut in_store, &mut in_map)?;
    report.push(Row::new("get-typed-1k", HashMapped::NAME, figures, Target::Ratio(0.9)));
    Ok(())
}

fn decoding<'a>(keys: &Rc<Keys>, mut get: impl FnMut(Key<'_>) -> Outcome<Job> + 'a) -> impl Side + 'a {
    let mut walk = Walk::new(keys);
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0_u64;
        tape.operations(operations, || {
            sum = sum.wrapping_add(get(walk.step())?.sum());
            Ok(())
        })?;
        Ok(sum)
    }
}
