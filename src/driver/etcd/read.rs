//! Reading: one key, or many, as of one moment.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use etcd_client::{GetOptions, GetResponse, KeyValue, TxnOp, TxnOpResponse};

use super::{
    link::Link,
    lives::Standing,
    open::Etcd,
    plan::written,
    request::{Asked, Guarded, first},
    trouble::Trouble,
};
use crate::{
    driver::{Access, Entry, Head, Range, Remaining, Revision, Space, State},
    error::{Error, ErrorKind, Result},
};

/// Keys of a page; with values, so many at first, and then as many as have about that many bytes.
const KEYS: usize = 2_000;
const VALUES: usize = 64;
const BYTES: usize = 4 << 20;
/// How often a compaction may come between two pages.
const TRIES: u32 = 8;

impl Etcd {
    fn reading<'a>(access: &'a Access, space: Space) -> Guarded<'a> {
        Guarded { access, gated: space == Space::Values, writes: false }
    }

    pub(super) fn get_one(
        &self,
        access: &Access,
        space: Space,
        key: &str,
        into: &mut Vec<u8>,
    ) -> Result<Option<Revision>> {
        into.clear();
        let whole = self.keys.entry(space, key);
        let build = || Ok(Asked { then: vec![TxnOp::get(whole.clone(), None)], ..Asked::default() });
        self.guarded(Self::reading(access, space), build, |reply| {
            let link = self.link()?;
            let Some(entry) = reply.answers.first().and_then(first) else {
                link.lives.forget(&whole);
                return Ok(Some(None));
            };
            let (stay, value) = self.decode(entry)?;
            if !link.lives.see(entry, Some(stay)).is_some_and(Standing::is_live) {
                return Ok(Some(None));
            }
            into.extend_from_slice(value);
            Ok(Some(written(entry)))
        })
    }

    pub(super) fn head_one(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        let whole = self.keys.entry(space, key);
        let options = GetOptions::new().with_keys_only();
        let build = || Ok(Asked { then: vec![TxnOp::get(whole.clone(), Some(options.clone()))], ..Asked::default() });
        let entry = self.guarded(Self::reading(access, space), build, |reply| {
            Ok(Some(reply.answers.first().and_then(first).cloned()))
        })?;
        let link = self.link()?;
        let Some(entry) = entry else {
            link.lives.forget(&whole);
            return Ok(None);
        };
        let Some(mut standing) = self.standing(link, &entry)? else { return Ok(None) };
        if link.lives.unasked(entry.lease()).is_some() {
            self.ask_ends(link, std::slice::from_ref(&entry))?;
            standing = link.lives.see(&entry, None).unwrap_or(standing);
        }
        Ok(written(&entry).map(|revision| Head { revision, remaining: standing.remaining, state: standing.state }))
    }

    /// Asks the cluster how much of their time limits is left to entries that were only seen so far.
    fn ask_ends(&self, link: &Link, entries: &[KeyValue]) -> Result<()> {
        let unasked = |entry: &KeyValue| link.lives.unasked(entry.lease()).map(|time| (entry.lease(), time));
        let unasked: HashMap<i64, Duration> = entries.iter().filter_map(unasked).collect();
        let leases: Vec<i64> = unasked.keys().copied().collect();
        for (lease, answer) in leases.iter().zip(link.times_to_live(&leases)?) {
            let Some((left, whole)) = answer else { continue };
            // Whole seconds, rounded down; and the lease was to last longer than the entry.
            let longer = whole.saturating_sub(unasked[lease]);
            let left = (left + Duration::from_secs(1)).saturating_sub(longer);
            link.lives.ends_by(*lease, Instant::now() + left);
        }
        Ok(())
    }

    pub(super) fn read_range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        for _ in 0..TRIES {
            if let Some(entries) = self.try_range(access, range)? {
                return Ok(entries);
            }
        }
        Err(Trouble::Compacted.told(&self.address))
    }

    /// Nothing when the moment of the first page was compacted away before the last one.
    fn try_range(&self, access: &Access, range: Range<'_>) -> Result<Option<Vec<Entry>>> {
        let mut entries = Vec::new();
        if range.limit == 0 {
            return Ok(Some(entries));
        }
        let (mut from, to) = self.keys.entries(range.space, range.prefix);
        if let Some(after) = range.after {
            let after = [self.keys.entry(range.space, after).as_slice(), b"\0"].concat();
            from = from.max(after);
        }
        if from >= to {
            return Ok(Some(entries));
        }
        let mut page = if range.values { VALUES } else { KEYS };
        let options = |page: usize| {
            let options = GetOptions::new().with_range(to.clone()).with_limit(page as i64);
            if range.values { options } else { options.with_keys_only() }
        };
        let first_page = || Ok(Asked { then: vec![TxnOp::get(from.clone(), Some(options(page)))], ..Asked::default() });
        let (moment, mut got) = self.guarded(Self::reading(access, range.space), first_page, |mut reply| {
            let Some(TxnOpResponse::Get(get)) = reply.answers.pop() else { return Ok(None) };
            Ok(Some((reply.revision, get)))
        })?;
        loop {
            self.enter(range, &got, &mut entries)?;
            let Some(last) = got.kvs().last().filter(|_| got.more() && entries.len() < range.limit) else { break };
            if range.values {
                let bytes: usize = got.kvs().iter().map(|entry| entry.value().len() + entry.key().len()).sum();
                page = (BYTES / (bytes / got.kvs().len()).max(1)).clamp(1, KEYS);
            }
            let next = [last.key(), b"\0"].concat();
            let Some(more) = self.next_page(next, options(page).with_revision(moment))? else { return Ok(None) };
            got = more;
        }
        entries.truncate(range.limit);
        Ok(Some(entries))
    }

    fn next_page(&self, from: Vec<u8>, options: GetOptions) -> Result<Option<GetResponse>> {
        let link = self.link()?;
        let answer = link.ask(true, move |client| {
            let (from, options) = (from.clone(), options.clone());
            async move { super::cluster::unlimited(&client).get(from, Some(options)).await }
        })?;
        match answer {
            Ok(page) => Ok(Some(page)),
            Err(Trouble::Compacted) => Ok(None),
            Err(trouble) => Err(self.explain(link, trouble)),
        }
    }

    fn enter(&self, range: Range<'_>, page: &GetResponse, into: &mut Vec<Entry>) -> Result<()> {
        let link = self.link()?;
        // Who reads values wants to know how long they stay.
        if range.values {
            for found in page.kvs() {
                link.lives.see(found, Some(self.decode(found)?.0));
            }
            self.ask_ends(link, page.kvs())?;
        }
        for found in page.kvs() {
            let entry = match range.values {
                true => self.entry(range.space, found)?,
                false => self.named(range.space, found, self.standing(link, found)?, Vec::new())?,
            };
            into.extend(entry.filter(|entry| range.dead || entry.head.state == State::Live));
        }
        Ok(())
    }

    /// An entry that was read with its value, the dead included.
    pub(super) fn entry(&self, space: Space, found: &KeyValue) -> Result<Option<Entry>> {
        let (stay, value) = self.decode(found)?;
        let standing = self.link()?.lives.see(found, Some(stay));
        self.named(space, found, standing, value.to_vec())
    }

    fn named(
        &self,
        space: Space,
        found: &KeyValue,
        standing: Option<Standing>,
        value: Vec<u8>,
    ) -> Result<Option<Entry>> {
        let key = self.keys.name(space, found.key()).ok_or_else(|| self.foreign(found))?;
        let Some((standing, revision)) = standing.zip(written(found)) else { return Ok(None) };
        let head = Head { revision, remaining: standing.remaining, state: standing.state };
        Ok(Some(Entry { key: key.to_owned(), value, head }))
    }

    /// Every entry as it lies there, whatever it is.
    pub(super) fn each_entry(&self, space: Space, mut visit: impl FnMut(Option<&str>, &KeyValue)) -> Result<()> {
        let link = self.link()?;
        self.now()?;
        let (mut from, to) = self.keys.entries(space, "");
        loop {
            let options = GetOptions::new().with_range(to.clone()).with_limit(VALUES as i64);
            let start = from.clone();
            let page = link.ask(true, move |client| {
                let (start, options) = (start.clone(), options.clone());
                async move { super::cluster::unlimited(&client).get(start, Some(options)).await }
            })?;
            let page = page.map_err(|trouble| self.explain(link, trouble))?;
            page.kvs().iter().for_each(|entry| visit(self.keys.name(space, entry.key()), entry));
            match page.kvs().last() {
                Some(last) if page.more() => from = [last.key(), b"\0"].concat(),
                _ => return Ok(()),
            }
        }
    }

    fn foreign(&self, entry: &KeyValue) -> Error {
        let key = String::from_utf8_lossy(entry.key()).into_owned();
        let message =
            format!("{}: the key {key:?} was not written by shmsync: remove it by `etcdctl del`", self.address.shown());
        Error::new(ErrorKind::Corrupt, message)
    }

    /// Looks at keys of the cluster: the revision at which each is alive, when the first of them ends by itself, and the
    /// moment of all that.
    pub(super) fn look(&self, link: &Link, keys: &[Vec<u8>]) -> Result<Looked> {
        let mut looked = Looked { alive: Vec::with_capacity(keys.len()), next_end: None, moment: i64::MAX };
        let options = GetOptions::new().with_keys_only();
        let access = Access::default();
        for keys in keys.chunks(100) {
            let ops: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(key.clone(), Some(options.clone()))).collect();
            let who = Guarded { access: &access, gated: false, writes: false };
            let build = || Ok(Asked { then: ops.clone(), ..Asked::default() });
            let reply = self.guarded(who, build, |reply| Ok(Some(reply)))?;
            looked.moment = looked.moment.min(reply.revision);
            for answer in &reply.answers {
                let entry = first(answer);
                let standing = entry.map(|entry| self.standing(link, entry)).transpose()?.flatten();
                let standing = standing.filter(|standing| standing.is_live());
                looked.alive.push(standing.and(entry.and_then(written)));
                if let Some(Standing { remaining: Remaining::Until(end), state: State::Live }) = standing {
                    looked.next_end = Some(looked.next_end.map_or(end, |next| next.min(end)));
                }
            }
        }
        Ok(looked)
    }
}

/// What was seen of some keys.
pub(super) struct Looked {
    pub(super) alive: Vec<Option<Revision>>,
    pub(super) next_end: Option<Instant>,
    pub(super) moment: i64,
}
