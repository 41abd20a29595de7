//! All of it or nothing: one transaction of the cluster.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use etcd_client::{KeyValue, TxnOpResponse};

use super::{
    link::Link,
    lives::Standing,
    open::Etcd,
    plan::{Change, Done, Plan, written},
    record::{LONGEST_HEAD, Mark, Stay},
    request::{Guarded, MOST_BYTES, Reply, first},
    settle::{Settled, Tries},
    trouble::Trouble,
};
use crate::{
    driver::{Access, Commit, Committed, Expected, Lifetime, Op, Revision, Space},
    error::{Error, ErrorKind, Result},
};

/// The largest value. What surrounds it, and other keys, need room in a request, too.
pub(super) const MAX_VALUE: usize = 1_500_000;
/// etcd takes no longer leases.
const LONGEST_LEASE: u64 = 9_000_000_000;
/// How much longer than its value a lease lasts at least.
const SPARE: Duration = Duration::from_secs(1);

/// What a commit changes, with leases of some moment.
struct Changes<'a> {
    all: Vec<Change<'a>>,
    /// When its leases for time limits were asked for.
    leased: Cell<Instant>,
    /// Whether something that nobody answered may hang on the leases there were.
    may_be_done: Cell<bool>,
}

impl Etcd {
    pub(super) fn commit_all(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        commit.check()?;
        self.check_size(commit)?;
        let link = self.link()?;
        let expect: Vec<(Vec<u8>, Expected)> =
            commit.expect.iter().map(|(space, key, expected)| (self.keys.entry(*space, key), *expected)).collect();
        let mut changes = Changes {
            all: Vec::with_capacity(commit.ops.len()),
            leased: Cell::new(Instant::now()),
            may_be_done: Cell::new(false),
        };
        for (space, key, op) in &commit.ops {
            let lease = Cell::new(self.lease_for(link, op)?);
            changes.all.push(Change { key: self.keys.entry(*space, key), op: *op, lease });
        }
        let of_values = |space: &Space| *space == Space::Values;
        let gated = commit.ops.iter().map(|op| &op.0).chain(commit.expect.iter().map(|key| &key.0)).any(of_values);
        let who = Guarded { access, gated, writes: !commit.ops.is_empty() };
        let (mark, since) = (Mark::new(), self.seen(link));
        let tries = Tries::new(&self.address);
        let committed = loop {
            match self.commit_once(who, commit, &expect, &changes, mark) {
                // What is in the way may be the request before, which has arrived after all.
                Ok(Err(conflict)) if changes.may_be_done.get() => {
                    match self.settle(link, &expect, &changes.all, mark, since) {
                        Ok(Settled::Done(revision)) => break Ok(Ok(self.settled(link, &changes.all, revision))),
                        Ok(Settled::NotDone) => break Ok(Err(conflict)),
                        // What was to be removed a moment ago is gone.
                        _ if conflict.current.is_none() && changes.all.iter().all(|change| change.op == Op::Delete) => {
                            break Ok(Ok(vec![Revision::new(1); changes.all.len()]));
                        }
                        settled => {
                            let why = "what was asked for before may have been done, and was changed since".to_owned();
                            break Err(settled.err().unwrap_or_else(|| Trouble::Unsure(why).told(&self.address)));
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    // Whether it was done is found out, where that can be.
                    match self.settle(link, &expect, &changes.all, mark, since) {
                        Ok(Settled::Done(revision)) => break Ok(Ok(self.settled(link, &changes.all, revision))),
                        Ok(Settled::NotDone) if tries.has_another() => changes.may_be_done.set(true),
                        _ => break Err(error),
                    }
                }
                committed => break committed,
            }
        };
        // What nobody knows of may have been done, or may yet be: its leases end by themselves.
        let is_refused = committed.as_ref().map_or_else(|error| error.kind() != ErrorKind::Unreachable, Result::is_err);
        if is_refused && !changes.may_be_done.get() {
            let timed = changes.all.iter().filter(|change| is_timed(&change.op));
            link.revoke_aside(timed.map(|change| change.lease.get()).filter(|lease| *lease != 0).collect());
        }
        committed
    }

    /// A time limit begins when its value is written: who had to wait for that has new leases. What lives with this process
    /// is not written any more when the session that it was meant for is over.
    fn renew_leases(&self, link: &Link, changes: &Changes<'_>) -> Result<()> {
        let session = link.current_session().filter(|session| !session.is_lost()).map(|session| session.lease);
        let lives_with_process = |op: &Op<'_>| matches!(op, Op::Put { lifetime: Lifetime::Process, .. });
        let is_lost = |change: &Change<'_>| lives_with_process(&change.op) && Some(change.lease.get()) != session;
        if changes.all.iter().any(is_lost) {
            return Err(Trouble::NoLease.told(&self.address));
        }
        if changes.leased.get().elapsed() < SPARE {
            return Ok(());
        }
        changes.leased.set(Instant::now());
        let mut unused = Vec::new();
        for change in changes.all.iter().filter(|change| is_timed(&change.op)) {
            unused.push(change.lease.replace(self.lease_for(link, &change.op)?));
        }
        if !changes.may_be_done.get() {
            unused.retain(|lease| *lease != 0);
            link.revoke_aside(unused);
        }
        Ok(())
    }

    fn commit_once(
        &self,
        who: Guarded<'_>,
        commit: &Commit<'_>,
        expect: &[(Vec<u8>, Expected)],
        changes: &Changes<'_>,
        mark: Mark,
    ) -> Result<Committed> {
        let link = self.link()?;
        let asked_for = RefCell::new(None);
        let build = || {
            self.renew_leases(link, changes)?;
            let mut plan = Plan::new(&link.lives, expect, &changes.all, mark);
            let asked = std::mem::take(&mut plan.asked);
            asked_for.replace(Some(plan));
            Ok(asked)
        };
        self.guarded(who, build, |reply| {
            let plan = asked_for.borrow();
            let Some(plan) = &*plan else { return Ok(None) };
            if reply.is_done {
                return Ok(Some(Ok(concluded(link, &changes.all, &plan.done, &reply))));
            }
            let current = self.current(link, &plan.read, &reply.answers)?;
            let find = |space, key: &str| {
                let key = self.keys.entry(space, key);
                plan.read.iter().position(|read| *read == key).and_then(|at| current[at])
            };
            Ok(commit.conflict(find).map(Err))
        })
    }

    /// # Errors
    /// `TooLarge` for what etcd would refuse, before anything is sent.
    fn check_size(&self, commit: &Commit<'_>) -> Result<()> {
        const AROUND: usize = 64;
        let base = self.keys.marker().len();
        let mut whole = 0;
        for (_, key, op) in &commit.ops {
            whole += base + key.len() + AROUND;
            if let Op::Put { value, .. } = op {
                self.check_value(key, value)?;
                whole += value.len() + LONGEST_HEAD;
            }
        }
        // Each is compared, and read where that fails.
        whole += commit.expect.iter().map(|(_, key, _)| 2 * (base + key.len() + AROUND)).sum::<usize>();
        if whole <= MOST_BYTES {
            return Ok(());
        }
        let message =
            format!("{}: a transaction of {whole} bytes: split it, etcd takes {MOST_BYTES}", self.address.shown());
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    pub(super) fn check_value(&self, key: &str, value: &[u8]) -> Result<()> {
        if value.len() <= MAX_VALUE {
            return Ok(());
        }
        let shown = self.address.shown();
        let message =
            format!("{shown}: the value for {key:?} has {} bytes: split it, etcd takes {MAX_VALUE}", value.len());
        Err(Error::new(ErrorKind::TooLarge, message))
    }

    /// A lease of its own for what has a time limit, the session's for what lives with this process.
    pub(super) fn lease_for(&self, link: &Link, op: &Op<'_>) -> Result<i64> {
        match op {
            Op::Put { lifetime: Lifetime::Process, .. } => Ok(self.session()?.lease),
            Op::Put { lifetime: Lifetime::Ttl(time), .. } if time.as_secs() < LONGEST_LEASE - 2 => {
                // More than `SPARE` longer, so that the cluster is never the first to end it.
                link.grant(time.as_secs() as i64 + 2)
            }
            _ => Ok(0),
        }
    }

    /// The revisions under which keys are alive, by what was read of them.
    fn current(&self, link: &Link, keys: &[Vec<u8>], answers: &[TxnOpResponse]) -> Result<Vec<Option<Revision>>> {
        let mut current = Vec::with_capacity(keys.len());
        for (key, answer) in keys.iter().zip(answers) {
            current.push(match first(answer) {
                Some(entry) => self.standing(link, entry)?.filter(|standing| standing.is_live()).and(written(entry)),
                None => {
                    link.lives.forget(key);
                    None
                }
            });
        }
        Ok(current)
    }

    /// How an entry stands of which only the key was read; nothing where it has gone meanwhile.
    pub(super) fn standing(&self, link: &Link, entry: &KeyValue) -> Result<Option<Standing>> {
        if let Some(standing) = link.lives.see(entry, None) {
            return Ok(Some(standing));
        }
        let key = entry.key().to_vec();
        let answer = link.ask(true, move |client| {
            let key = key.clone();
            async move { super::cluster::unlimited(&client).get(key, None).await }
        })?;
        let answer = answer.map_err(|trouble| self.explain(link, trouble))?;
        let Some(whole) = answer.kvs().first() else { return Ok(None) };
        Ok(link.lives.see(whole, Some(self.decode(whole)?.0)))
    }
}

fn is_timed(op: &Op<'_>) -> bool {
    matches!(op, Op::Put { lifetime: Lifetime::Ttl(_), .. })
}

/// Remembers what was written, lets go of leases that nothing hangs on any more, and answers.
fn concluded(link: &Link, changes: &[Change<'_>], done: &[Done], reply: &Reply) -> Vec<Option<Revision>> {
    let mut answers = Vec::with_capacity(changes.len());
    let mut unused = Vec::new();
    for ((change, done), answer) in changes.iter().zip(done).zip(&reply.answers) {
        answers.push(done.answer(answer, reply.revision));
        let (lease, stay) = match done {
            Done::Put { lease, stay } => (*lease, *stay),
            Done::Removed { .. } => (0, Stay::Forever),
        };
        if link.lives.kept(&change.key).found != lease {
            unused.extend(link.lives.forget(&change.key));
        }
        link.lives.wrote(&change.key, lease, stay);
    }
    link.revoke_aside(unused);
    answers
}
