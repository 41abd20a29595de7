//! What a commit asks of the cluster, by what is known of the keys it is about.

use std::{cell::Cell, collections::HashSet};

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, KeyValue, PutOptions, TxnOp, TxnOpResponse};

use super::{
    lives::Lives,
    record::{Mark, Stay},
    request::Asked,
};
use crate::driver::{Expected, Lifetime, Op, OwnerId, Revision};

/// An operation on a key of the cluster.
pub(super) struct Change<'a> {
    pub(super) key: Vec<u8>,
    pub(super) op: Op<'a>,
    /// The lease of a put that does not keep what is there; 0 = none.
    pub(super) lease: Cell<i64>,
}

/// What was asked for an operation, to understand the answer.
pub(super) enum Done {
    Put {
        lease: i64,
        stay: Stay,
    },
    /// Found dead under that lease, if anything: then its removal is nobody's answer.
    Removed {
        dead: Option<i64>,
    },
}

/// A commit as it is asked, and what each of its answers means.
pub(super) struct Plan {
    pub(super) asked: Asked,
    pub(super) done: Vec<Done>,
    /// Keys that are read when it is refused, in this order.
    pub(super) read: Vec<Vec<u8>>,
}

impl Plan {
    pub(super) fn new(lives: &Lives, expect: &[(Vec<u8>, Expected)], changes: &[Change<'_>], mark: Mark) -> Self {
        let mut plan = Self { asked: Asked::default(), done: Vec::new(), read: Vec::new() };
        for (key, expected) in expect {
            plan.expect(lives, key, *expected);
            plan.read.push(key.clone());
        }
        for change in changes {
            plan.change(lives, change, mark);
        }
        plan.bury(lives, expect, changes);
        let keys_only = GetOptions::new().with_keys_only();
        plan.asked.otherwise = plan.read.iter().map(|key| TxnOp::get(key.clone(), Some(keys_only.clone()))).collect();
        plan
    }

    fn expect(&mut self, lives: &Lives, key: &[u8], expected: Expected) {
        let ended = lives.ended(key);
        let compares = &mut self.asked.compares;
        match (expected, ended) {
            (Expected::Absent, None) => compares.push(Compare::create_revision(key, CompareOp::Equal, 0)),
            // What has come to its end here counts as absent, as long as it is that one.
            (Expected::Absent, Some(lease)) => compares.push(Compare::lease(key, CompareOp::Equal, lease)),
            (Expected::Present, _) => compares.push(Compare::create_revision(key, CompareOp::Greater, 0)),
            (Expected::At(revision), _) => {
                compares.push(Compare::mod_revision(key, CompareOp::Equal, number(revision)));
            }
        }
        if let (Expected::Present | Expected::At(_), Some(lease)) = (expected, ended) {
            compares.push(Compare::lease(key, CompareOp::NotEqual, lease));
        }
    }

    fn change(&mut self, lives: &Lives, change: &Change<'_>, mark: Mark) {
        let key = change.key.clone();
        let (op, done) = match change.op {
            Op::Delete => {
                let dead = lives.ended(&key);
                let options = if dead.is_some() { DeleteOptions::new().with_prev_key() } else { DeleteOptions::new() };
                (TxnOp::delete(key, Some(options)), Done::Removed { dead })
            }
            Op::Put { value, lifetime } => {
                let (lease, stay) = self.life(lives, &key, lifetime, change.lease.get());
                let put = TxnOp::put(key, stay.encode(mark, value), Some(PutOptions::new().with_lease(lease)));
                (put, Done::Put { lease, stay })
            }
        };
        self.asked.then.push(op);
        self.done.push(done);
    }

    fn life(&mut self, lives: &Lives, key: &[u8], lifetime: Lifetime, lease: i64) -> (i64, Stay) {
        match lifetime {
            Lifetime::Ttl(time) if lease != 0 => (lease, Stay::Time(time)),
            Lifetime::Forever | Lifetime::Ttl(_) => (0, Stay::Forever),
            Lifetime::Process => (lease, Stay::Owner(OwnerId(lease as u64))),
            Lifetime::Keep => {
                // Guessed, and compared; where the guess is wrong, the answer tells what is there.
                let kept = lives.kept(key);
                self.asked.compares.push(Compare::lease(key, CompareOp::Equal, kept.found));
                if !self.read.iter().any(|read| read == key) {
                    self.read.push(key.to_vec());
                }
                (kept.left, kept.stay)
            }
        }
    }

    /// What this commit relies on being dead is removed by it, so that it is dead for everybody.
    fn bury(&mut self, lives: &Lives, expect: &[(Vec<u8>, Expected)], changes: &[Change<'_>]) {
        if changes.is_empty() {
            return;
        }
        let mut known: HashSet<&[u8]> = changes.iter().map(|change| change.key.as_slice()).collect();
        for (key, expected) in expect {
            if *expected == Expected::Absent && lives.ended(key).is_some() && known.insert(key) {
                self.asked.then.push(TxnOp::delete(key.clone(), None));
            }
        }
    }
}

impl Done {
    /// The contract's answer for an operation.
    pub(super) fn answer(&self, answer: &TxnOpResponse, revision: i64) -> Option<Revision> {
        let was_there = match (self, answer) {
            (Self::Put { .. }, _) => true,
            (Self::Removed { dead }, TxnOpResponse::Delete(delete)) => {
                let was_dead = |before: &KeyValue| Some(before.lease()) == *dead;
                delete.deleted() > 0 && !delete.prev_kvs().first().is_some_and(was_dead)
            }
            (Self::Removed { .. }, _) => false,
        };
        Revision::new(revision as u64).filter(|_| was_there)
    }
}

/// A revision as the cluster counts; none of its own is as high as those that are not.
pub(super) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.get()).unwrap_or(i64::MAX)
}

/// When an entry was written.
pub(super) fn written(entry: &KeyValue) -> Option<Revision> {
    Revision::new(entry.mod_revision() as u64)
}
