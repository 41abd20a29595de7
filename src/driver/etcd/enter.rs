//! Finding a store on a cluster, or making one where nobody else's keys are in the way.

use std::{sync::Arc, time::Instant};

use etcd_client::{Client, Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::{address::Address, cluster, keys::Keys, link::Link, request::first};
use crate::error::{Error, ErrorKind, Result};

/// What the mark of a store says: a word, and the number of the format.
const WORD: &[u8] = b"shmsync ";
const FORMAT: &[u8] = b"1";

/// A store that was found or made.
pub(super) struct Found {
    /// When its mark was made: another store of that name has another one.
    pub(super) birth: i64,
    pub(super) cluster_id: u64,
}

/// Finds the store, or makes it where it is missing and wanted; nothing where it is missing.
///
/// # Errors
/// `Unreachable` when nobody answers within the connect limit; `NotAStore`, `Version` where others use the prefix.
pub(super) fn enter(link: &Link, keys: &Keys, create: bool) -> Result<Option<Found>> {
    let (marker, (from, to)) = (keys.marker(), keys.everything());
    let around = keys.around();
    // Somebody may make it, or remove it, between a look and a try: each time somebody else got on.
    loop {
        let get = |key: &Vec<u8>| TxnOp::get(key.clone(), None);
        let below = GetOptions::new().with_range(to.clone()).with_limit(1).with_keys_only();
        let mut reads = vec![get(&marker), TxnOp::get(from.clone(), Some(below))];
        reads.extend(around.iter().map(get));
        let looked = ask(link, Txn::new().and_then(reads))?;
        let answers = looked.op_responses();
        let [mark, below, around @ ..] = answers.as_slice() else { return Ok(None) };
        if let Some(mark) = first(mark) {
            check_mark(link.address(), mark.value())?;
            return Ok(Some(found(mark.create_revision(), &looked)));
        }
        if !create {
            return Ok(None);
        }
        check_room(link.address(), first(below), around)?;
        let is_empty = Compare::create_revision(from.clone(), CompareOp::Equal, 0).with_range(to.clone());
        let put = TxnOp::put(marker.clone(), [WORD, FORMAT].concat(), None);
        let made = ask(link, Txn::new().when([is_empty]).and_then([put]))?;
        if made.succeeded() {
            return Ok(Some(found(made.header().map_or(0, etcd_client::ResponseHeader::revision), &made)));
        }
    }
}

fn found(birth: i64, answer: &TxnResponse) -> Found {
    Found { birth, cluster_id: answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id) }
}

/// Making the mark twice is making it once, so it is asked again wherever somebody answers.
fn ask(link: &Link, txn: Txn) -> Result<TxnResponse> {
    let (limit, cluster, begun) = (link.address().connect, Arc::clone(&link.cluster), Instant::now());
    let answer = link.run(async move {
        let call = |client: Client| {
            let txn = txn.clone();
            async move { cluster::unlimited(&client).txn(txn).await }
        };
        cluster.ask(limit, true, call).await
    })?;
    answer.map_err(|trouble| {
        let error = trouble.told(link.address());
        match error.kind() {
            ErrorKind::Unreachable => error.context(format!("gave up after {:.1} s", begun.elapsed().as_secs_f64())),
            _ => error,
        }
    })
}

fn check_mark(address: &Address, mark: &[u8]) -> Result<()> {
    let (kind, why) = match mark.strip_prefix(WORD) {
        Some(FORMAT) => return Ok(()),
        Some(format) => (ErrorKind::Version, format!("is of format {}, not 1", String::from_utf8_lossy(format))),
        None => (ErrorKind::NotAStore, "holds something else, which is left as it is".to_owned()),
    };
    let message = format!("{}: what lies there {why}: use another prefix", address.shown());
    Err(Error::new(kind, message))
}

/// A new store must not lie within another one, nor around keys of others: each would take the other's for its own.
fn check_room(address: &Address, below: Option<&KeyValue>, around: &[TxnOpResponse]) -> Result<()> {
    let is_mark = |entry: &&KeyValue| entry.value().starts_with(WORD);
    let why = match (around.iter().filter_map(first).find(is_mark), below) {
        (Some(mark), _) => {
            let store = String::from_utf8_lossy(mark.key()).trim_end_matches("/store").to_owned();
            format!("the prefix lies within that of another store, {store:?}")
        }
        (None, Some(entry)) => {
            format!("below the prefix lies a key of others, {:?}", String::from_utf8_lossy(entry.key()))
        }
        (None, None) => return Ok(()),
    };
    let message = format!("{}: {why}: use another prefix", address.shown());
    Err(Error::new(ErrorKind::NotAStore, message))
}
