//! A store on a cluster, as the contract wants it.

use std::sync::Arc;

use etcd_client::{GetOptions, TxnOp, TxnOpResponse};

use super::{
    commit::MAX_VALUE,
    follow::Follow,
    open::Etcd,
    participant,
    record::Stay,
    request::{Asked, Guarded},
};
use crate::{
    driver::{
        Access, Capabilities, Commit, Committed, Driver, Entry, GateToken, Head, Lifetime, OwnerId, Participant,
        Patience, PrefixWatch, Range, Revision, Space, Stats, Stop, Verification,
    },
    error::Result,
};

const OPEN: Access = Access { limit: None, gate: None };

impl Etcd {
    /// The latest revision there is.
    pub(super) fn now(&self) -> Result<i64> {
        let who = Guarded { access: &OPEN, gated: false, writes: false };
        self.guarded(who, || Ok(Asked::default()), |reply| Ok(Some(reply.revision)))
    }

    /// Everybody who has a session.
    pub(super) fn all_participants(&self) -> Result<Vec<Participant>> {
        let (from, to) = self.keys.participants();
        let get = TxnOp::get(from, Some(GetOptions::new().with_range(to)));
        let who = Guarded { access: &OPEN, gated: false, writes: false };
        let build = || Ok(Asked { then: vec![get.clone()], ..Asked::default() });
        self.guarded(who, build, |reply| {
            let Some(TxnOpResponse::Get(get)) = reply.answers.first() else { return Ok(None) };
            Ok(Some(get.kvs().iter().filter_map(|entry| participant::decode(entry.value())).collect()))
        })
    }
}

impl Driver for Arc<Etcd> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "etcd",
            shared: true,
            orphans: false,
            gate: true,
            largest_value: MAX_VALUE,
            sessions_end: true,
        }
    }

    fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        self.get_one(access, space, key, into)
    }

    fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        self.head_one(access, space, key)
    }

    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        self.read_range(access, range)
    }

    fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        self.commit_all(access, commit)
    }

    fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        self.add_up(access, space, key, delta)
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        self.read_range(access, Range { values: true, ..Range::keys(space, prefix) })
    }

    fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        self.replace_all(access, space, prefix, entries)
    }

    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        self.wait_for(keys, patience)
    }

    fn version(&self) -> Result<u64> {
        self.now().map(|revision| revision as u64)
    }

    fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        self.wait_for_version(seen, patience)
    }

    fn watch_prefix(&self, access: &Access, space: Space, prefix: &str) -> Result<Option<Box<dyn PrefixWatch>>> {
        Ok(Some(Box::new(Follow::new(Self::clone(self), *access, space, prefix))))
    }

    fn interrupt(&self, _stop: &Stop) {
        if let Ok(link) = self.link() {
            link.bell.send_modify(|rings| *rings += 1);
        }
    }

    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        self.close(patience)
    }

    fn open_gate(&self, token: GateToken) -> Result<bool> {
        self.open_by(token)
    }

    fn force_gate(&self) -> Result<bool> {
        self.open_by_force()
    }

    fn gate_holder(&self) -> Result<Option<OwnerId>> {
        self.holder()
    }

    fn owner(&self) -> Result<OwnerId> {
        Ok(OwnerId(self.session()?.lease as u64))
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        let (link, lease) = (self.link()?, owner.0 as i64);
        if link.lives.is_lost(lease) {
            return Ok(false);
        }
        // Of itself this process knows, also when the cluster is silent.
        if link.current_session().is_some_and(|session| session.lease == lease) {
            return Ok(true);
        }
        let get = TxnOp::get(self.keys.participant(lease), Some(GetOptions::new().with_count_only()));
        let who = Guarded { access: &OPEN, gated: false, writes: false };
        let build = || Ok(Asked { then: vec![get.clone()], ..Asked::default() });
        self.guarded(who, build, |reply| {
            let count = |answer: &TxnOpResponse| matches!(answer, TxnOpResponse::Get(get) if get.count() > 0);
            Ok(Some(reply.answers.first().is_some_and(count)))
        })
    }

    fn participants(&self) -> Result<Vec<Participant>> {
        self.all_participants()
    }

    fn stats(&self) -> Result<Stats> {
        let participants = self.all_participants()?.len() as u32;
        let entries = self.count(&OPEN, Space::Values, "")?;
        let path = self.address.shown();
        Ok(Stats { driver: "etcd", path, format: 1, entries, participants, ..Stats::default() })
    }

    fn verify(&self) -> Result<Verification> {
        let mut found = Verification::default();
        for space in [Space::Values, Space::Coordination] {
            self.each_entry(space, |key, entry| {
                found.records += 1;
                found.bytes += (entry.key().len() + entry.value().len()) as u64;
                if key.is_none() || Stay::decode(entry.value()).is_none() {
                    let key = String::from_utf8_lossy(entry.key());
                    found.problems.push(format!("{key:?} was not written by shmsync, or is damaged"));
                }
            })?;
        }
        Ok(found)
    }

    fn flush(&self) -> Result<()> {
        // What etcd has acknowledged lies on the disks of most of its members.
        self.now().map(drop)
    }

    fn destroy(&self) -> Result<()> {
        self.remove_all()
    }
}
