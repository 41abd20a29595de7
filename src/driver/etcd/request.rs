//! One transaction that also looks whether the store is still there and whether the gate is open.

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::{link::Link, open::Etcd, record::Stay, trouble::Trouble};
use crate::{
    driver::{Access, GateToken},
    error::{Error, ErrorKind, Result},
};

/// etcd takes so many comparisons and so many operations in one transaction, and as many again in each that is nested in
/// it, less those around it.
const MOST_IN_ONE: usize = 128;
/// The most bytes of a request: etcd's own limit, less what surrounds keys and values.
pub(super) const MOST_BYTES: usize = 1_572_864 - 16_384;

/// What is asked beside the mark and the gate.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) compares: Vec<Compare>,
    pub(super) then: Vec<TxnOp>,
    /// What is read where a comparison fails.
    pub(super) otherwise: Vec<TxnOp>,
}

/// What came of it.
pub(super) struct Reply {
    /// Whether all comparisons held.
    pub(super) is_done: bool,
    /// Of the cluster, at that moment.
    pub(super) revision: i64,
    pub(super) answers: Vec<TxnOpResponse>,
}

/// Who asks for what.
#[derive(Clone, Copy)]
pub(super) struct Guarded<'a> {
    pub(super) access: &'a Access,
    /// Whether it is about values, so that the gate counts.
    pub(super) gated: bool,
    pub(super) writes: bool,
}

impl Etcd {
    /// Asks, behind the gate; again whenever `finish` has nothing to say.
    pub(super) fn guarded<T>(
        &self,
        who: Guarded<'_>,
        mut build: impl FnMut() -> Result<Asked>,
        mut finish: impl FnMut(Reply) -> Result<Option<T>>,
    ) -> Result<T> {
        let link = self.link()?;
        let (begun, mut token) = (Instant::now(), who.access.gate);
        loop {
            let reply = match self.attempt(link, who, token, build()?)? {
                Ok(reply) => reply,
                // Asked once more: it is open, or was so for a moment.
                Err(None) if !who.writes => {
                    token = None;
                    continue;
                }
                Err(None) => return Err(super::gate::forced_out()),
                Err(Some((gate, moment))) => {
                    self.wait_at_gate(link, who, (&gate, moment), begun)?;
                    continue;
                }
            };
            if let Some(answer) = finish(reply)? {
                return Ok(answer);
            }
        }
    }

    /// One transaction. Where the gate is in the way, its entry, and when that was; nothing where the caller's token is an
    /// old one.
    fn attempt(
        &self,
        link: &Link,
        who: Guarded<'_>,
        token: Option<GateToken>,
        asked: Asked,
    ) -> Result<Result<Reply, Option<(KeyValue, i64)>>> {
        let keys_only = |key| TxnOp::get(key, Some(GetOptions::new().with_keys_only()));
        let mut compares = vec![self.is_same()];
        let mut otherwise = vec![keys_only(self.keys.marker())];
        if who.gated {
            compares.push(self.may_pass(token));
            otherwise.push(TxnOp::get(self.keys.gate(), None));
        }
        compares.extend(asked.compares);
        otherwise.extend(asked.otherwise);
        if compares.len().max(otherwise.len()) > MOST_IN_ONE {
            let most = MOST_IN_ONE - 2;
            let message = format!(
                "{}: a transaction that depends on so many keys: split it, etcd takes {most}",
                self.address.shown()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let room = MOST_IN_ONE - compares.len().max(otherwise.len());
        let txn = Txn::new().when(compares).and_then(nested(asked.then, room)).or_else(otherwise);
        let response = link.transact(txn, !who.writes)?.map_err(|trouble| self.explain(link, trouble))?;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        let mut answers = flat(&response);
        if response.succeeded() {
            return Ok(Ok(Reply { is_done: true, revision, answers }));
        }
        if !first(&answers[0]).is_some_and(|marker| self.is_mark(marker)) {
            return Err(self.gone());
        }
        if !who.gated {
            answers.remove(0);
            return Ok(Ok(Reply { is_done: false, revision, answers }));
        }
        let gate = first(&answers[1]).cloned();
        answers.drain(..2);
        let current = gate.as_ref().map(|gate| GateToken(gate.mod_revision() as u64));
        match (token, gate) {
            (Some(_), _) if token == current => Ok(Ok(Reply { is_done: false, revision, answers })),
            (Some(_), _) => Ok(Err(None)),
            (None, Some(gate)) => Ok(Err(Some((gate, revision)))),
            (None, None) => Ok(Ok(Reply { is_done: false, revision, answers })),
        }
    }

    /// True when the gate is open, or closed by the bearer of that token.
    fn may_pass(&self, token: Option<GateToken>) -> Compare {
        match token.map(|token| i64::try_from(token.0)) {
            Some(token) => Compare::mod_revision(self.keys.gate(), CompareOp::Equal, token.unwrap_or(i64::MAX)),
            None => Compare::create_revision(self.keys.gate(), CompareOp::Equal, 0),
        }
    }

    /// The error of somebody who asked; a session that the cluster does not know is over. It may have been another lease
    /// that has come to its end, that of a time limit.
    pub(super) fn explain(&self, link: &Link, trouble: Trouble) -> Error {
        if !matches!(trouble, Trouble::NoLease) {
            return trouble.told(&self.address);
        }
        if let Some(session) = link.current_session() {
            match link.times_to_live(&[session.lease]).as_deref() {
                Ok([None]) => {
                    session.end();
                    link.notice_loss();
                }
                _ => {
                    let why = "the time limit of a value was over before it arrived".to_owned();
                    return Trouble::Refused(ErrorKind::Unreachable, why).told(&self.address);
                }
            }
        }
        trouble.told(&self.address)
    }

    /// What lies at a key of entries.
    pub(super) fn decode<'a>(&self, entry: &'a KeyValue) -> Result<(Stay, &'a [u8])> {
        Stay::decode(entry.value()).ok_or_else(|| {
            let key = String::from_utf8_lossy(entry.key()).into_owned();
            let message = format!(
                "{}: what etcd keeps under {key:?} was not written by shmsync, or is damaged: remove it by `etcdctl del`",
                self.address.shown()
            );
            Error::new(ErrorKind::Corrupt, message)
        })
    }
}

/// Operations in as many transactions as etcd wants; they are done in one, all the same.
fn nested(ops: Vec<TxnOp>, room: usize) -> Vec<TxnOp> {
    if ops.len() <= MOST_IN_ONE {
        return ops;
    }
    let share = (ops.len().div_ceil(MOST_IN_ONE)).max(room.min(MOST_IN_ONE / 2));
    ops.chunks(share).map(|ops| TxnOp::txn(Txn::new().and_then(ops))).collect()
}

fn flat(response: &TxnResponse) -> Vec<TxnOpResponse> {
    let inner = |answer| match answer {
        TxnOpResponse::Txn(nested) => flat(&nested),
        answer => vec![answer],
    };
    response.op_responses().into_iter().flat_map(inner).collect()
}

/// The first entry that was read.
pub(super) fn first(answer: &TxnOpResponse) -> Option<&KeyValue> {
    match answer {
        TxnOpResponse::Get(get) => get.kvs().first(),
        _ => None,
    }
}

/// How long one wait at the gate lasts before it is looked at again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);
