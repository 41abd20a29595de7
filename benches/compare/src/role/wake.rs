//! Sleeps until it is woken, looks at the clock, and sleeps again.

use std::path::Path;

use super::Parent;
use crate::{
    clock,
    failure::{Outcome, fail},
    figures::quantile,
    keys::name,
    peer::{Bare, Ours, Peer},
};

/// The message after which nothing comes.
pub(crate) const LAST: u64 = 0;

pub(super) fn wake(folder: &Path, words: &[&str]) -> Outcome<()> {
    let mut latencies = Vec::new();
    match words {
        [Ours::NAME] => watch(folder, |sent| note(sent, &mut latencies))?,
        [Bare::NAME] => receive(folder, |sent| note(sent, &mut latencies))?,
        _ => return fail("be woken by whom?"),
    }
    let middle = quantile(&latencies, 0.5).ok_or("nobody woke anybody")?;
    let p99 = quantile(&latencies, 0.99).ok_or("nobody woke anybody")?;
    Parent.tell(format!("{} {middle} {p99}", latencies.len()));
    Ok(())
}

/// Each message is the moment at which it was sent. Tells whether there will be more.
fn note(sent: u64, latencies: &mut Vec<f32>) -> bool {
    let now = clock::now();
    if sent != LAST {
        latencies.push((now - sent) as f32);
    }
    sent != LAST
}

fn watch(folder: &Path, mut each: impl FnMut(u64) -> bool) -> Outcome<()> {
    let store = Ours::open(folder)?.store;
    let mut watch = store.watch(&name(0))?;
    // What is there when it begins is no message.
    watch.next().ok_or("the watch ended")??;
    Parent.ready();
    loop {
        let change = watch.next().ok_or("the watch ended")??;
        if !each(change.value::<u64>()?.ok_or("the message was removed")?) {
            return Ok(());
        }
    }
}

fn receive(folder: &Path, mut each: impl FnMut(u64) -> bool) -> Outcome<()> {
    let bare = Bare::open(folder)?;
    let mut known = bare.messages();
    Parent.ready();
    loop {
        let (messages, message) = bare.receive(known);
        known = messages;
        if !each(message) {
            return Ok(());
        }
    }
}
