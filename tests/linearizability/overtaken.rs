//! The two kinds of process of which each overtakes the other: one writes and replaces the index, the others look.

use std::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::{
    log::{ROOM, now},
    operation::{Answer, Call},
    worker::{Work, bytes, name, value},
};

/// The only key, where there is only one.
const KEY_0: &str = "key/0";
/// Words of the value that changes together with the one that is looked at: long enough to be stopped in the middle.
const COMPANION: usize = 2_000;
/// Keys that come and go together, and leave graves.
const CHURNED: u64 = 5;

impl Work<'_> {
    /// In one transaction several keys, now and then others that come and go, so that the index is replaced.
    pub(super) fn replace_all(&mut self) {
        let (value, setting) = (self.fresh(), self.worker.setting);
        self.record(0, Call::Set(value), |store| {
            store.transaction(|tx| {
                // The first is sealed long before both are committed.
                tx.set(&name(0), &shmsync::Value::Binary(bytes(value, setting)))?;
                tx.set("later", &shmsync::Value::Binary(vec![7; COMPANION * 8]))
            })?;
            Ok(Answer::Done)
        });
        if self.dice().below(6) == 0 {
            let first = self.dice().below(1 << 30);
            let names: Vec<String> = (first..first + CHURNED).map(|number| format!("churned/{number}")).collect();
            names.iter().for_each(|name| drop(self.store.set(name, &vec![7_u64; 200])));
            names.iter().for_each(|name| drop(self.store.remove(name)));
        }
    }

    /// Looks at a value all the time, without much ado, so that a reader is in the middle of it most of the time. Only
    /// what is new is written down.
    pub(super) fn follow(&mut self) {
        let (mut encoded, mut last, mut begin, mut looks) = (Vec::new(), 0, 0, 0_u32);
        while self.worker.log.over.load(Relaxed) == 0 && self.lane.len() < ROOM {
            // Clocks and fences would take most of the time. Whoever says that it began earlier claims less.
            if looks.is_multiple_of(32) {
                begin = now();
                fence(SeqCst);
            }
            looks = looks.wrapping_add(1);
            let found = self.store.read_encoded(KEY_0, &mut encoded);
            // A head of two bytes, then words that are all the same.
            if encoded.len() > 10 && encoded[2..10] == i64::to_le_bytes(last) && matches!(found, Ok(Some(_))) {
                continue;
            }
            let end = now();
            let answer = match found {
                Err(error) => Answer::Failed(error.kind()),
                Ok(None) => Answer::Value(None),
                Ok(Some(_)) => value(encoded.get(2..).unwrap_or_default(), self.worker.setting),
            };
            last = if let Answer::Value(Some(value)) = answer { value } else { 0 };
            self.lane.add((0, Call::Get), answer, (begin, end));
            looks = 0;
        }
    }
}
