//! A whole prefix exchanged at one moment.

use std::collections::BTreeMap;

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, TxnOp, TxnOpResponse};

use super::{
    link::Link,
    open::Etcd,
    record::{LONGEST_HEAD, Mark, Stay},
    request::{Asked, Guarded, MOST_BYTES},
};
use crate::{
    driver::{Access, Lifetime, MAX_OPERATIONS, Op, OwnerId, Space, check_value},
    error::{Error, ErrorKind, Result},
};

/// What a prefix becomes: each key's value, lease and how long it stays.
type Wanted = BTreeMap<Vec<u8>, (Vec<u8>, i64, Stay)>;

/// The keys there are, and when that was.
struct Found {
    keys: Vec<Vec<u8>>,
    moment: i64,
}

impl Etcd {
    /// # Errors
    /// `TooLarge` where it does not fit into one transaction of the cluster; then nothing happens.
    pub(super) fn replace_all(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        for (key, value, _) in entries {
            check_value(key, value)?;
            self.check_value(key, value)?;
        }
        let bytes: usize = entries.iter().map(|(key, value, _)| key.len() + value.len() + LONGEST_HEAD + 64).sum();
        if entries.len() > MAX_OPERATIONS || bytes > MOST_BYTES {
            return Err(self.too_much(entries.len(), bytes));
        }
        let link = self.link()?;
        let (from, to) = self.keys.entries(space, prefix);
        let who = Guarded { access, gated: space == Space::Values, writes: true };
        let mut wanted = None;
        loop {
            // Who may not pass is told before leases are made.
            let found = self.keys_in(who, &from, &to)?;
            let wanted = match &mut wanted {
                Some(wanted) => wanted,
                empty => empty.insert(self.wanted(link, space, entries)?),
            };
            if self.try_replace(who, (&from, &to), &found, wanted)? {
                let mut unused: Vec<i64> = found.keys.iter().filter_map(|key| link.lives.forget(key)).collect();
                unused.retain(|lease| wanted.values().all(|(_, kept, _)| kept != lease));
                link.revoke_aside(unused);
                wanted.iter().for_each(|(key, (_, lease, stay))| link.lives.wrote(key, *lease, *stay));
                return Ok(());
            }
        }
    }

    fn wanted(&self, link: &Link, space: Space, entries: &[(String, Vec<u8>, Lifetime)]) -> Result<Wanted> {
        let (mut wanted, mark) = (Wanted::new(), Mark::new());
        for (key, value, lifetime) in entries {
            let whole = self.keys.entry(space, key);
            let lease = self.lease_for(link, &Op::Put { value, lifetime: *lifetime })?;
            let (lease, stay) = match lifetime {
                Lifetime::Ttl(time) if lease != 0 => (lease, Stay::Time(*time)),
                Lifetime::Process => (lease, Stay::Owner(OwnerId(lease as u64))),
                Lifetime::Keep => {
                    let kept = link.lives.kept(&whole);
                    (kept.left, kept.stay)
                }
                Lifetime::Forever | Lifetime::Ttl(_) => (0, Stay::Forever),
            };
            wanted.insert(whole, (stay.encode(mark, value), lease, stay));
        }
        Ok(wanted)
    }

    fn keys_in(&self, who: Guarded<'_>, from: &[u8], to: &[u8]) -> Result<Found> {
        let options = GetOptions::new().with_range(to).with_keys_only();
        let build = || Ok(Asked { then: vec![TxnOp::get(from, Some(options.clone()))], ..Asked::default() });
        self.guarded(who, build, |reply| {
            let Some(TxnOpResponse::Get(get)) = reply.answers.first() else { return Ok(None) };
            let keys = get.kvs().iter().map(|entry| entry.key().to_vec()).collect();
            Ok(Some(Found { keys, moment: reply.revision }))
        })
    }

    /// Exchanges all of it, if nothing there was written since it was looked at.
    fn try_replace(&self, who: Guarded<'_>, span: (&[u8], &[u8]), found: &Found, wanted: &Wanted) -> Result<bool> {
        let unchanged =
            Compare::mod_revision(span.0, CompareOp::Less, found.moment.saturating_add(1)).with_range(span.1);
        let mut then = removals(span, &found.keys, wanted);
        let put = |(key, (value, lease, _)): (&Vec<u8>, &(Vec<u8>, i64, Stay))| {
            TxnOp::put(key.clone(), value.clone(), Some(PutOptions::new().with_lease(*lease)))
        };
        then.extend(wanted.iter().map(put));
        if then.len() > 2 * MAX_OPERATIONS {
            return Err(self.too_much(then.len(), 0));
        }
        let build = || Ok(Asked { compares: vec![unchanged.clone()], then: then.clone(), ..Asked::default() });
        self.guarded(who, build, |reply| Ok(Some(reply.is_done)))
    }

    fn too_much(&self, entries: usize, bytes: usize) -> Error {
        let message = format!(
            "{}: to replace a prefix by {entries} entries of {bytes} bytes at once is more than etcd takes: {MAX_OPERATIONS} \
             entries and {MOST_BYTES} bytes; use longer prefixes",
            self.address.shown()
        );
        Error::new(ErrorKind::TooLarge, message)
    }
}

/// Removes what is not wanted, from one wanted key to the next: etcd wants no key twice in a transaction.
fn removals(span: (&[u8], &[u8]), found: &[Vec<u8>], wanted: &Wanted) -> Vec<TxnOp> {
    let mut removals = Vec::new();
    let mut from = span.0.to_vec();
    let ends = wanted.keys().map(Vec::as_slice).chain([span.1]);
    for end in ends {
        if from.as_slice() < end && found.iter().any(|key| *key >= from && key.as_slice() < end) {
            removals.push(TxnOp::delete(from, Some(DeleteOptions::new().with_range(end))));
        }
        from = [end, b"\0"].concat();
    }
    removals
}
