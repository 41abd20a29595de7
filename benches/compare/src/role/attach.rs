//! Opens what is there, and tells how long it took.

use std::path::Path;

use super::Parent;
use crate::{
    clock,
    failure::{Outcome, fail},
    peer::{Lmdb, Ours, Peer},
};

pub(super) fn attach(folder: &Path, words: &[&str]) -> Outcome<()> {
    let start = clock::now();
    match words {
        [Ours::NAME] => drop(keep(Ours::open(folder)?, start)),
        [Lmdb::NAME] => drop(keep(Lmdb::open_existing(folder)?, start)),
        _ => return fail("attach to what?"),
    }
    Ok(())
}

/// Tells before it is dropped.
fn keep<T>(opened: T, start: u64) -> T {
    let took = clock::now() - start;
    Parent.tell(took);
    opened
}
