//! Whatever bytes a store holds, reading them ends with an answer.

use std::collections::BTreeMap;

use serde::Deserialize;
use shmsync::{
    ErrorKind, Lifetime, Result, Revision, Sync, Value,
    driver::{
        Access, Capabilities, Commit, Committed, Driver, Entry, Head, OwnerId, Patience, Range, Remaining, Space, State,
    },
};

use crate::kind;

/// Holds one value under every key, and has never heard of MessagePack.
struct Garbage(Vec<u8>);

fn revision() -> Option<Revision> {
    Revision::new(64)
}

impl Driver for Garbage {
    fn capabilities(&self) -> Capabilities {
        Capabilities::least("garbage")
    }

    fn get(&self, _: &Access, _: Space, _: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        into.clone_from(&self.0);
        Ok(revision())
    }

    fn head(&self, _: &Access, _: Space, _: &str) -> Result<Option<Head>> {
        let head = |revision| Head { revision, remaining: Remaining::Forever, state: State::Live };
        Ok(revision().map(head))
    }

    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        let head = self.head(access, range.space, "k")?.expect("every key is there");
        Ok(vec![Entry { key: "k".into(), value: self.0.clone(), head }])
    }

    fn commit(&self, _: &Access, commit: &Commit<'_>) -> Result<Committed> {
        Ok(Ok(commit.ops.iter().map(|_| revision()).collect()))
    }

    fn add(&self, _: &Access, _: Space, _: &str, _: i64) -> Result<(i64, Revision)> {
        unreachable!("no test adds")
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        self.range(access, Range::keys(space, prefix))
    }

    fn replace(&self, _: &Access, _: Space, _: &str, _: &[(String, Vec<u8>, Lifetime)]) -> Result<()> {
        Ok(())
    }

    fn wait(&self, _: &[(Space, &str, Option<Revision>)], _: Patience<'_>) -> Result<bool> {
        Ok(false)
    }

    fn version(&self) -> Result<u64> {
        Ok(1)
    }

    fn owner(&self) -> Result<OwnerId> {
        Ok(OwnerId(1))
    }

    fn destroy(&self) -> Result<()> {
        Ok(())
    }
}

fn holding(bytes: Vec<u8>) -> Sync {
    Sync::with_driver(Garbage(bytes))
}

fn all_ways_to_read_are_corrupt(bytes: Vec<u8>) {
    let store = holding(bytes);
    let kinds = [
        kind(store.get::<Value>("k")),
        kind(store.get_versioned::<BTreeMap<String, i64>>("k")),
        kind(store.get_or("k", String::new())),
        kind(store.get_bytes("k")),
        kind(store.iter::<Vec<u64>>("").unwrap().next().unwrap()),
        kind(store.read_all::<(String, bool)>("")),
        kind(store.update("k", |value: Option<Vec<Value>>| value)),
        kind(store.update_each("", |_, value: Vec<Value>| Some(value))),
        kind(store.transaction(|tx| tx.get::<Vec<Value>>("k"))),
        kind(store.watch("k").unwrap().next().unwrap()),
        kind(store.watch_prefix("").unwrap().next().unwrap()),
    ];
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::Corrupt), "{kinds:?}");
}

#[test]
fn what_ends_too_early_is_corrupt() {
    all_ways_to_read_are_corrupt(vec![]);
    all_ways_to_read_are_corrupt(vec![0xdb, 0, 0, 0, 9, b'x']);
    all_ways_to_read_are_corrupt(vec![0xcf, 1, 2]);
}

#[test]
fn a_forbidden_marker_is_corrupt() {
    all_ways_to_read_are_corrupt(vec![0xc1]);
    all_ways_to_read_are_corrupt(vec![0x91, 0xc1]);
}

#[test]
fn absurd_lengths_are_corrupt_and_cost_nothing() {
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        all_ways_to_read_are_corrupt(vec![marker, 0xff, 0xff, 0xff, 0xff, 1]);
    }
}

#[test]
fn endless_nesting_is_corrupt_and_does_not_exhaust_the_stack() {
    for level in [&[0x91_u8][..], &[0x81, 0xa1, b'k'], &[0xdd, 0, 0, 0, 1], &[0x92, 1]] {
        let mut bytes = level.repeat(100_000);
        all_ways_to_read_are_corrupt(bytes.clone());
        bytes.push(0xc0);
        all_ways_to_read_are_corrupt(bytes);
    }
}

#[test]
fn a_type_of_a_users_own_may_nest_as_deeply_as_is_allowed() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Tree {
        Leaf,
        Node { below: Vec<Tree>, name: Option<String> },
    }
    let mut deepest = 0;
    for depth in 0..400 {
        // {"node": {"below": [ … ]}}
        let mut bytes = [&b"\x81\xa4node\x81\xa5below\x91"[..]; 400][..depth].concat();
        bytes.extend(b"\xa4leaf");
        match holding(bytes).get::<Tree>("k") {
            Ok(Some(tree)) => {
                assert_eq!(matches!(tree, Tree::Leaf), depth == 0);
                deepest = depth;
            }
            answer => assert_eq!(kind(answer), ErrorKind::Corrupt),
        }
    }
    assert!(deepest > 35, "{deepest}");
}
