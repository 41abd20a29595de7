//! What became of a write whose answer was lost, because the member that was asked died, or the way to it.
//!
//! Each entry carries the mark of the write that made it, and the cluster tells what happened to a key since a revision.
//! So whether a commit with puts was done can be found out as soon as somebody answers. One that was not done is tried
//! again only if it expects a revision or an absence: should the lost request arrive after all, it finds that changed, and
//! does nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use etcd_client::{EventType, KeyValue};

use super::{
    address::Address,
    cluster::{Cluster, unlimited},
    link::Link,
    open::Etcd,
    plan::{Change, number},
    record::Mark,
    wait::open_watch,
};
use crate::{
    driver::{Expected, Op, Revision},
    error::Result,
};

/// Between two tries to have somebody tell of the past.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a commit.
pub(super) enum Settled {
    /// It was done, at that revision.
    Done(i64),
    /// It was not done, and cannot be any more once it is tried again.
    NotDone,
    /// Nobody can tell.
    Unknown,
}

/// What became of a put.
pub(super) enum Fate {
    /// It was done, and made this entry.
    Done(Box<KeyValue>),
    /// It was not done. If it `may_be` yet, then only before another write of that key.
    NotDone { may_be: bool },
    /// Nobody can tell.
    Unknown,
}

/// A put that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Lost {
    pub(super) mark: Mark,
    /// What it expected at its key: a revision, 0 = absence; nothing where it would overwrite whatever is there.
    pub(super) guard: Option<i64>,
    /// It was asked for after that revision.
    pub(super) since: i64,
}

/// How long a commit is tried again.
pub(super) struct Tries {
    end: Instant,
}

impl Tries {
    pub(super) fn new(address: &Address) -> Self {
        Self { end: Instant::now() + 2 * address.call }
    }

    pub(super) fn has_another(&self) -> bool {
        Instant::now() < self.end
    }
}

impl Etcd {
    /// Finds out what became of a commit that was asked for after the revision `since`.
    pub(super) fn settle(
        &self,
        link: &Link,
        expect: &[(Vec<u8>, Expected)],
        changes: &[Change<'_>],
        mark: Mark,
        since: i64,
    ) -> Result<Settled> {
        let guards = |(key, expected): &&(Vec<u8>, Expected)| {
            !matches!(expected, Expected::Present) && changes.iter().any(|change| change.key == *key)
        };
        let guard = expect.iter().find(guards);
        if let Some(put) = changes.iter().find(|change| matches!(change.op, Op::Put { .. })) {
            // A guard of another key of the commit says whether it may be tried again, not where to look for this one.
            let own = guard.filter(|(key, _)| *key == put.key).map(|(_, expected)| match expected {
                Expected::At(revision) => number(*revision),
                _ => 0,
            });
            return Ok(match self.fate(link, &put.key, Lost { mark, guard: own, since })? {
                Fate::Done(entry) => Settled::Done(entry.mod_revision()),
                Fate::NotDone { .. } if guard.is_some() => Settled::NotDone,
                _ => Settled::Unknown,
            });
        }
        // Removals leave no mark: only what is still there as it was expected tells.
        let Some((key, Expected::At(revision))) = guard else { return Ok(Settled::Unknown) };
        let is_there = self.read_now(link, key)?.is_some_and(|entry| entry.mod_revision() == number(*revision));
        Ok(if is_there { Settled::NotDone } else { Settled::Unknown })
    }

    /// Finds out what became of a put.
    pub(super) fn fate(&self, link: &Link, key: &[u8], lost: Lost) -> Result<Fate> {
        let now = match self.read_now(link, key)? {
            Some(entry) if lost.mark.is_of(entry.value()) => return Ok(Fate::Done(Box::new(entry))),
            now => now.map(|entry| entry.mod_revision()),
        };
        match (lost.guard, now) {
            (Some(seen), Some(now)) if seen == now => Ok(Fate::NotDone { may_be: true }),
            // Had it been done, it would be the first change of what it expected.
            (Some(seen @ 1..), _) => self.search(link, key, seen + 1, 0, lost.mark),
            (Some(_), None) => self.came_and_went(link, key, lost),
            (_, Some(now)) if now > lost.since => self.search(link, key, lost.since + 1, now, lost.mark),
            (None, None) => Ok(Fate::Unknown),
            // Nothing has happened to the key.
            (_, Some(_)) => Ok(Fate::NotDone { may_be: true }),
        }
    }

    /// A key is as absent as it was. Somebody may have had what was put there, and removed it. No event tells of what did
    /// not happen, so one is made, and all that happened to the store before that is looked through.
    fn came_and_went(&self, link: &Link, key: &[u8], lost: Lost) -> Result<Fate> {
        let last = self.sign_of_life(link)?;
        let (from, to) = self.keys.everything();
        match self.search_in(link, (from, Some(to)), (key, lost.mark), lost.since + 1, last)? {
            Fate::NotDone { .. } => Ok(Fate::NotDone { may_be: true }),
            fate => Ok(fate),
        }
    }

    /// Looks through what happened to a key from a revision on, up to the first change at `to` or later; there is one.
    fn search(&self, link: &Link, key: &[u8], from: i64, to: i64, mark: Mark) -> Result<Fate> {
        self.search_in(link, (key.to_vec(), None), (key, mark), from, to)
    }

    /// The same in all that happened to a span of keys.
    fn search_in(&self, link: &Link, span: Span, (key, mark): (&[u8], Mark), from: i64, to: i64) -> Result<Fate> {
        let search = Search { cluster: Arc::clone(&link.cluster), span, key: key.to_vec(), from, to, mark };
        link.run(async move {
            let limit = search.cluster.address.call;
            tokio::time::timeout(limit, search.whole()).await.unwrap_or(Fate::Unknown)
        })
    }

    fn read_now(&self, link: &Link, key: &[u8]) -> Result<Option<KeyValue>> {
        let key = key.to_vec();
        let answer = link.ask(true, move |client| {
            let key = key.clone();
            async move { unlimited(&client).get(key, None).await }
        })?;
        let answer = answer.map_err(|trouble| trouble.told(&self.address))?;
        Ok(answer.kvs().first().cloned())
    }

    /// The answers of a commit that was found to be done. What it removed was there, for all that can be known.
    pub(super) fn settled(&self, link: &Link, changes: &[Change<'_>], revision: i64) -> Vec<Option<Revision>> {
        // How long it stays is read where it matters.
        for change in changes {
            let _ = link.lives.forget(&change.key);
        }
        changes.iter().map(|_| Revision::new(revision as u64)).collect()
    }
}

/// A key, or all from there to somewhere.
type Span = (Vec<u8>, Option<Vec<u8>>);

struct Search {
    cluster: Arc<Cluster>,
    span: Span,
    key: Vec<u8>,
    from: i64,
    to: i64,
    mark: Mark,
}

impl Search {
    async fn whole(&self) -> Fate {
        loop {
            if let Some(fate) = self.through_one().await {
                return fate;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// As one member tells it; nothing when that went away.
    async fn through_one(&self) -> Option<Fate> {
        let Some(mut stream) = open_watch(&self.cluster, std::slice::from_ref(&self.span), self.from).await else {
            return Some(Fate::Unknown);
        };
        while let Ok(Some(message)) = stream.message().await {
            if message.compact_revision() > 0 {
                // Too much of the past is gone.
                return Some(Fate::Unknown);
            }
            let told = message.events().iter().filter_map(|event| event.kv().map(|entry| (event.event_type(), entry)));
            for (kind, entry) in told {
                if kind == EventType::Put && entry.key() == self.key && self.mark.is_of(entry.value()) {
                    return Some(Fate::Done(Box::new(entry.clone())));
                }
                if entry.mod_revision() >= self.to {
                    return Some(Fate::NotDone { may_be: false });
                }
            }
        }
        None
    }
}
