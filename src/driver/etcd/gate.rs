//! The gate of `exclusive`: an entry with the lease of whoever has closed it. Every transaction on values looks at it.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, Instant},
};

use etcd_client::{Client, Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};

use super::{
    cluster::unlimited,
    link::Link,
    open::Etcd,
    record::{Mark, Stay},
    request::{Asked, Guarded, LONGEST_WAIT, first},
    settle::{Fate, Lost},
};
use crate::{
    driver::{AGAIN, Access, GateToken, OwnerId, PAUSES, Patience, incarnation},
    error::{Error, ErrorKind, Result},
};

/// A gate that a thread has closed.
struct Closed {
    /// The process: a forked child has not closed it.
    incarnation: u64,
    /// Of the store.
    birth: i64,
    token: GateToken,
    value: Vec<u8>,
}

thread_local! {
    /// The gates that this thread has closed and not opened since: it would wait for them in vain. One that is being opened
    /// aside is none of them. (A thread that ends may have lost this already, and opens what it has closed all the same.)
    static CLOSED: RefCell<Vec<Closed>> = const { RefCell::new(Vec::new()) };
}

/// Not about values, so that the gate is no obstacle.
const BESIDE: Access = Access { limit: None, gate: None };

pub(super) fn forced_out() -> Error {
    let message = "exclusive access was forced open in the meantime, nothing was changed: take it again";
    Error::new(ErrorKind::Lost, message)
}

impl Etcd {
    /// Waits until that gate, which was there at that revision, no longer is, at most as long as the caller may.
    pub(super) fn wait_at_gate(
        &self,
        link: &Link,
        who: Guarded<'_>,
        (gate, moment): (&KeyValue, i64),
        begun: Instant,
    ) -> Result<()> {
        refuse_own_thread(gate)?;
        let deadline = who.access.limit.and_then(|limit| begun.checked_add(limit));
        let Some(time) = (Patience { deadline, stop: None }).sleep(LONGEST_WAIT)? else {
            return Err(self.still_locked(gate, begun.elapsed()));
        };
        link.watch(vec![(self.keys.gate(), None)], moment + 1, time, link.bell.subscribe())?;
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
            let value = Stay::Owner(OwnerId(lease as u64)).encode(lost.mark, &[]);
            let rings = link.bell.subscribe();
            let is_open = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
            let put = TxnOp::put(key.clone(), value.clone(), Some(PutOptions::new().with_lease(lease)));
            let (is_done, revision, gate) = match self.beside(vec![is_open], vec![put], false) {
                Err(error) if error.kind() == ErrorKind::Unreachable => match self.fate(link, &key, lost) {
                    Ok(Fate::Done(entry)) => (true, entry.mod_revision(), None),
                    _ => {
                        self.open_aside(link, Compare::value(key.clone(), CompareOp::Equal, value.clone()));
                        return Err(error);
                    }
                },
                answer => answer?,
            };
            if is_done {
                let token = GateToken(revision as u64);
                let gate = Closed { incarnation: incarnation(), birth: self.birth, token, value };
                let _ = CLOSED.try_with(|closed| closed.borrow_mut().push(gate));
                return Ok(Some(token));
            }
            let Some(gate) = gate else { continue };
            refuse_own_thread(&gate)?;
            let Some(time) = patience.sleep(LONGEST_WAIT)? else { return Ok(None) };
            link.watch(vec![(key.clone(), None)], revision + 1, time, rings)?;
        }
    }

    pub(super) fn open_by(&self, token: GateToken) -> Result<bool> {
        let is_other = |gate: &Closed| gate.birth != self.birth || gate.token != token;
        let _ = CLOSED.try_with(|closed| closed.borrow_mut().retain(is_other));
        let token = i64::try_from(token.0).unwrap_or(i64::MAX);
        let is_mine = Compare::mod_revision(self.keys.gate(), CompareOp::Equal, token);
        // Opened twice, it is opened once.
        let opened = self.beside(vec![is_mine.clone()], vec![TxnOp::delete(self.keys.gate(), None)], true);
        if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unreachable) {
            self.open_aside(self.link()?, is_mine);
        }
        Ok(opened?.0)
    }

    /// Opens a gate that nobody answered about as soon as somebody does, if it still is that one: nobody else would, as long
    /// as this process lives.
    fn open_aside(&self, link: &Link, is_that: Compare) {
        let Some(session) = link.current_session() else { return };
        let open = Txn::new().when([self.is_same(), is_that]).and_then([TxnOp::delete(self.keys.gate(), None)]);
        let cluster = Arc::clone(&link.cluster);
        link.aside(async move {
            let call = |client: Client| {
                let open = open.clone();
                async move { unlimited(&client).txn(open).await }
            };
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                // With the session ends what it has closed.
                while !session.is_lost() && cluster.ask(cluster.address.call, true, call).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        });
    }

    pub(super) fn open_by_force(&self) -> Result<bool> {
        let is_closed = Compare::create_revision(self.keys.gate(), CompareOp::Greater, 0);
        Ok(self.beside(vec![is_closed], vec![TxnOp::delete(self.keys.gate(), None)], false)?.0)
    }

    pub(super) fn holder(&self) -> Result<Option<OwnerId>> {
        let is_open = Compare::create_revision(self.keys.gate(), CompareOp::Equal, 0);
        Ok(self.beside(vec![is_open], vec![], true)?.2.as_ref().and_then(holder))
    }

    /// A transaction about the gate, which may be asked for `again` where it got no answer; where it fails, what lies
    /// there.
    fn beside(&self, compares: Vec<Compare>, then: Vec<TxnOp>, again: bool) -> Result<(bool, i64, Option<KeyValue>)> {
        let who = Guarded { access: &BESIDE, gated: false, writes: !again };
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
    let is_own = |closed: &Closed| closed.incarnation == incarnation() && closed.value == gate.value();
    if CLOSED.try_with(|closed| closed.borrow().iter().any(is_own)).unwrap_or(false) {
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
