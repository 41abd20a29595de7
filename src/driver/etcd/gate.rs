//! The gate of `exclusive`: an entry with the lease of whoever has closed it. Every transaction on values looks at it.

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};

use super::{
    link::Link,
    open::Etcd,
    record::{Mark, Stay},
    request::{Asked, Guarded, LONGEST_WAIT, first},
    settle::{Fate, Lost},
};
use crate::{
    driver::{Access, GateToken, OwnerId, Patience, thread_number},
    error::{Error, ErrorKind, Result},
};

/// Not about values, so that the gate is no obstacle.
const BESIDE: Access = Access { limit: None, gate: None };

pub(super) fn forced_out() -> Error {
    let message = "exclusive access was forced open in the meantime, nothing was changed: take it again";
    Error::new(ErrorKind::Lost, message)
}

impl Etcd {
    /// Waits until that gate is no longer there, at most as long as the caller may.
    pub(super) fn wait_at_gate(&self, link: &Link, who: Guarded<'_>, gate: &KeyValue, begun: Instant) -> Result<()> {
        refuse_own_thread(gate)?;
        let deadline = who.access.limit.and_then(|limit| begun.checked_add(limit));
        let Some(time) = (Patience { deadline, stop: None }).sleep(LONGEST_WAIT)? else {
            return Err(self.still_locked(gate, begun.elapsed()));
        };
        self.sleep_on_gate(link, gate, time)
    }

    fn sleep_on_gate(&self, link: &Link, gate: &KeyValue, time: Duration) -> Result<()> {
        let spans = vec![(self.keys.gate(), None)];
        link.watch(spans, gate.mod_revision() + 1, time, link.bell.subscribe())?;
        Ok(())
    }

    fn still_locked(&self, gate: &KeyValue, waited: Duration) -> Error {
        let holder = holder(gate).and_then(|owner| {
            let all = self.all_participants().ok()?;
            all.into_iter().find(|participant| participant.id == owner)
        });
        let holder = holder.map_or("somebody".to_owned(), |holder| holder.to_string());
        let message = format!(
            "Can't access {:?}, still locked after {:.1} s by {holder}",
            self.address.shown(),
            waited.as_secs_f64()
        );
        Error::new(ErrorKind::Locked, message)
    }

    pub(super) fn close(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        let key = self.keys.gate();
        loop {
            let link = self.link()?;
            let lease = self.session()?.lease;
            let lost = Lost { mark: Mark::new(), guard: Some(0), since: self.seen(link) };
            let value = Stay::Owner(OwnerId(lease as u64)).encode(lost.mark, &thread_number().to_le_bytes());
            let rings = link.bell.subscribe();
            let is_open = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
            let put = TxnOp::put(key.clone(), value, Some(PutOptions::new().with_lease(lease)));
            let (is_done, revision, gate) = match self.beside(vec![is_open], vec![put]) {
                Err(error) if error.kind() == ErrorKind::Unreachable => match self.fate(link, &key, lost) {
                    Ok(Fate::Done(entry)) => (true, entry.mod_revision(), None),
                    _ => return Err(error),
                },
                answer => answer?,
            };
            if is_done {
                return Ok(Some(GateToken(revision as u64)));
            }
            let Some(gate) = gate else { continue };
            refuse_own_thread(&gate)?;
            let Some(time) = patience.sleep(LONGEST_WAIT)? else { return Ok(None) };
            link.watch(vec![(key.clone(), None)], gate.mod_revision() + 1, time, rings)?;
        }
    }

    pub(super) fn open_by(&self, token: GateToken) -> Result<bool> {
        let token = i64::try_from(token.0).unwrap_or(i64::MAX);
        let is_mine = Compare::mod_revision(self.keys.gate(), CompareOp::Equal, token);
        Ok(self.beside(vec![is_mine], vec![TxnOp::delete(self.keys.gate(), None)])?.0)
    }

    pub(super) fn open_by_force(&self) -> Result<bool> {
        let is_closed = Compare::create_revision(self.keys.gate(), CompareOp::Greater, 0);
        Ok(self.beside(vec![is_closed], vec![TxnOp::delete(self.keys.gate(), None)])?.0)
    }

    pub(super) fn holder(&self) -> Result<Option<OwnerId>> {
        let is_open = Compare::create_revision(self.keys.gate(), CompareOp::Equal, 0);
        Ok(self.beside(vec![is_open], vec![])?.2.as_ref().and_then(holder))
    }

    /// A transaction about the gate; where it fails, what lies there.
    fn beside(&self, compares: Vec<Compare>, then: Vec<TxnOp>) -> Result<(bool, i64, Option<KeyValue>)> {
        let who = Guarded { access: &BESIDE, gated: false, writes: true };
        let otherwise = vec![TxnOp::get(self.keys.gate(), None)];
        let build = || Ok(Asked { compares: compares.clone(), then: then.clone(), otherwise: otherwise.clone() });
        self.guarded(who, build, |reply| {
            let gate = reply.answers.first().and_then(first).cloned();
            Ok(Some((reply.is_done, reply.revision, gate.filter(|_| !reply.is_done))))
        })
    }

    /// Removes everything of this store at once.
    pub(super) fn remove_all(&self) -> Result<()> {
        let link = self.link()?;
        let (from, to) = self.keys.everything();
        let delete = TxnOp::delete(from, Some(etcd_client::DeleteOptions::new().with_range(to)));
        let removed = link.transact(Txn::new().when([self.is_same()]).and_then([delete]), false)?;
        let removed = removed.map_err(|trouble| self.explain(link, trouble))?;
        if removed.succeeded() { Ok(()) } else { Err(self.gone()) }
    }
}

fn refuse_own_thread(gate: &KeyValue) -> Result<()> {
    let thread = Stay::decode(gate.value()).map(|(_, thread)| thread);
    if thread == Some(thread_number().to_le_bytes().as_slice()) {
        let message = "this thread holds exclusive access itself and would wait for ever: use the `Exclusive` guard";
        return Err(Error::new(ErrorKind::Deadlock, message));
    }
    Ok(())
}

fn holder(gate: &KeyValue) -> Option<OwnerId> {
    match Stay::decode(gate.value())?.0 {
        Stay::Owner(owner) => Some(owner),
        _ => None,
    }
}
