//! Overwrites one value until it is told to end.

use std::{path::Path, process::exit, thread};

use super::Parent;
use crate::{
    clock,
    failure::{Outcome, fail},
    keys::{Key, name},
    peer::{Ours, Peer},
    value::Value,
};

/// The words: how many bytes, and nanoseconds from one write to the next; 0 is without pause.
pub(super) fn overwrite(folder: &Path, words: &[&str]) -> Outcome<()> {
    let [length, pace] = words else { return fail("overwrite with how many bytes, how often?") };
    let (mut ours, mut value, pace) = (Ours::open(folder)?, Value::of_length(length.parse()?), pace.parse::<u64>()?);
    thread::spawn(|| {
        Parent.wait_for_the_end();
        exit(0)
    });
    let text = name(0);
    let (start, mut number) = (clock::now(), 0);
    loop {
        clock::wait_until(start + number * pace);
        number += 1;
        ours.set(Key { text: &text, number: 0 }, value.of(number))?;
        if number == 1 {
            Parent.ready();
        }
    }
}
