//! Adding: write what it becomes if nothing changed meanwhile, else again with what is there. What this process made of it
//! the last time is where it begins, so that who alone adds to a number needs one request.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, TxnOp};

use super::{
    open::Etcd,
    plan::written,
    record::{Mark, Stay},
    request::{Asked, Guarded, first},
    settle::{Fate, Lost, Tries},
    trouble::Trouble,
};
use crate::{
    driver::{Access, Revision, Space, add_encoded, number},
    error::{ErrorKind, Result},
};

/// So many numbers are kept in mind.
const MANY: usize = 4_096;

/// What is there, and what it becomes.
pub(super) struct Sum {
    seen: i64,
    lease: i64,
    stay: Stay,
    number: i64,
    bytes: Vec<u8>,
}

/// What this process has made of numbers, each by its last addition. Whether that is still so the cluster says.
#[derive(Default)]
pub(super) struct Sums(Mutex<HashMap<Vec<u8>, Sum>>);

impl Sums {
    /// What a number would become; nothing where that is not known, or cannot be.
    fn after(&self, whole: &[u8], key: &str, delta: i64) -> Option<Sum> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known.get(whole)?;
        let (number, bytes) = add_encoded(key, Some(&last.bytes), delta).ok()?;
        Some(Sum { seen: last.seen, lease: 0, stay: Stay::Forever, number, bytes })
    }

    fn note(&self, whole: &[u8], sum: Sum) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.lease != 0 {
            // It may end by itself.
            known.remove(whole);
            return;
        }
        if known.len() >= MANY {
            known.clear();
        }
        known.insert(whole.to_vec(), sum);
    }
}

/// Who adds what to what.
struct Adding<'a> {
    access: &'a Access,
    space: Space,
    key: &'a str,
    delta: i64,
    mark: Mark,
    /// What was last asked for.
    sum: RefCell<Option<Sum>>,
    /// What was asked for without an answer, and may yet be done.
    lost: Cell<Option<Lost>>,
}

impl Etcd {
    pub(super) fn add_up(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        let (mark, since) = (Mark::new(), self.seen(self.link()?));
        let (whole, tries) = (self.keys.entry(space, key), Tries::new(&self.address));
        let sum = RefCell::new(self.link()?.sums.after(&whole, key, delta));
        let adding = Adding { access, space, key, delta, mark, sum, lost: Cell::default() };
        loop {
            match self.add_once(&adding, &whole) {
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    // Nothing was written yet, or what was is looked for.
                    let Some(asked) = adding.sum.take() else { return Err(error) };
                    let lost = Lost { mark, guard: Some(asked.seen), since };
                    match self.fate(self.link()?, &whole, lost) {
                        Ok(Fate::Done(entry)) => {
                            return done(key, self.decode(&entry)?.1, entry.mod_revision())?.ok_or(error);
                        }
                        Ok(Fate::NotDone { may_be }) if tries.has_another() => adding.lost.set(may_be.then_some(lost)),
                        _ => return Err(error),
                    }
                }
                added => return added,
            }
        }
    }

    fn add_once(&self, adding: &Adding<'_>, whole: &[u8]) -> Result<(i64, Revision)> {
        let Adding { access, space, key, delta, mark, sum, lost } = adding;
        let who = Guarded { access, gated: *space == Space::Values, writes: true };
        let get = || TxnOp::get(whole, None);
        let build = || {
            // Where nothing is known of it, it is looked at; from then on each refusal brings what is there.
            let Some(sum) = &*sum.borrow() else { return Ok(Asked { then: vec![get()], ..Asked::default() }) };
            let is_same = Compare::mod_revision(whole, CompareOp::Equal, sum.seen);
            let options = PutOptions::new().with_lease(sum.lease);
            let put = TxnOp::put(whole, sum.stay.encode(*mark, &sum.bytes), Some(options));
            Ok(Asked { compares: vec![is_same], then: vec![put], otherwise: vec![get()] })
        };
        self.guarded(who, build, |reply| {
            let link = self.link()?;
            let written = sum.borrow_mut().take();
            if let (true, Some(sum)) = (reply.is_done, written) {
                link.lives.wrote(whole, sum.lease, sum.stay);
                let (number, revision) = (sum.number, reply.revision);
                link.sums.note(whole, Sum { seen: revision, ..sum });
                return Ok(Revision::new(revision as u64).map(|revision| (number, revision)));
            }
            let entry = reply.answers.first().and_then(first);
            let seen = entry.map_or(0, KeyValue::mod_revision);
            // Where it has changed since, what was asked for before is done or can never be.
            if let Some(before) = lost.get().filter(|lost| lost.guard != Some(seen)) {
                match self.fate(link, whole, before)? {
                    Fate::Done(entry) => return done(key, self.decode(&entry)?.1, entry.mod_revision()),
                    Fate::NotDone { .. } => lost.set(None),
                    Fate::Unknown => {
                        let why = "the past in which it may have been done is gone".to_owned();
                        return Err(Trouble::Unsure(why).told(&self.address));
                    }
                }
            }
            *sum.borrow_mut() = Some(self.sum(key, entry, *delta)?);
            Ok(None)
        })
    }

    fn sum(&self, key: &str, entry: Option<&KeyValue>, delta: i64) -> Result<Sum> {
        let Some(entry) = entry else {
            let (number, bytes) = add_encoded(key, None, delta)?;
            return Ok(Sum { seen: 0, lease: 0, stay: Stay::Forever, number, bytes });
        };
        let (stay, value) = self.decode(entry)?;
        let is_live = self.link()?.lives.see(entry, Some(stay)).is_some_and(super::lives::Standing::is_live);
        let seen = written(entry).map_or(0, super::plan::number);
        let (number, bytes) = add_encoded(key, is_live.then_some(value), delta)?;
        let (lease, stay) = if is_live { (entry.lease(), stay) } else { (0, Stay::Forever) };
        Ok(Sum { seen, lease, stay, number, bytes })
    }
}

fn done(key: &str, value: &[u8], revision: i64) -> Result<Option<(i64, Revision)>> {
    let number = number::decode(key, value)?;
    Ok(Revision::new(revision as u64).map(|revision| (number, revision)))
}
