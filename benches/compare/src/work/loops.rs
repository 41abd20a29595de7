//! The loops that works have in common; compiled anew for each peer, so that nothing is called through a table.

use std::rc::Rc;

use crate::{
    duel::Side,
    failure::Outcome,
    keys::{Keys, Walk},
    peer::Peer,
    tape::Tape,
    value::{Value, sum_of},
};

/// So many of the last writes are read again.
const LOOKED_AT: usize = 64;

/// Reads keys in the order of the list.
pub(super) fn reading<'a, P: Peer>(peer: &'a mut P, keys: &Rc<Keys>) -> impl Side + use<'a, P> {
    let (mut walk, mut value) = (Walk::new(keys), Vec::new());
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let mut sum = 0_u64;
        tape.operations(operations, || {
            peer.get(walk.step(), &mut value)?;
            sum = sum.wrapping_add(sum_of(&value));
            Ok(())
        })?;
        Ok(sum)
    }
}

/// Overwrites keys in the order of the list, each time with another value of that length.
pub(super) fn writing<'a, P: Peer>(peer: &'a mut P, keys: &Rc<Keys>, length: usize) -> impl Side + use<'a, P> {
    let (mut walk, mut value, mut number) = (Walk::new(keys), Value::of_length(length), 0);
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        let (mut last, behind) = (walk.clone(), operations.saturating_sub(LOOKED_AT));
        last.skip(behind);
        tape.operations(operations, || {
            number += 1;
            peer.set(walk.step(), value.of(number))
        })?;
        read_again(peer, last, operations - behind)
    }
}

fn read_again<P: Peer>(peer: &mut P, mut walk: Walk, count: usize) -> Outcome<u64> {
    let (mut sum, mut value) = (0_u64, Vec::new());
    for _ in 0..count {
        peer.get(walk.step(), &mut value)?;
        sum = sum.wrapping_add(sum_of(&value));
    }
    Ok(sum)
}
