//! Overwrites one value without pause until it is told to end.

use std::{path::Path, process::exit, thread};

use super::Parent;
use crate::{
    failure::Outcome,
    keys::{Key, name},
    peer::{Ours, Peer},
    value::Value,
};

pub(super) fn overwrite(folder: &Path, words: &[&str]) -> Outcome<()> {
    let [length] = words else { return Err("overwrite with how many bytes?".into()) };
    let (mut ours, mut value) = (Ours::open(folder)?, Value::of_length(length.parse()?));
    thread::spawn(|| {
        Parent.wait_for_the_end();
        exit(0)
    });
    let text = name(0);
    let mut number = 0;
    loop {
        number += 1;
        ours.set(Key { text: &text, number: 0 }, value.of(number))?;
        if number == 1 {
            Parent.ready();
        }
    }
}
