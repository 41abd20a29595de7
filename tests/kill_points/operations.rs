//! What is killed: one entry for each way in which a public call changes a store.

use std::{collections::BTreeMap, path::Path, time::Duration};

use shmsync::{Lifetime, Options, Sync};

use super::fillings::{full, rested_spread, spread, three};

/// What survivors may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sees {
    /// All as before, or all as afterwards.
    OldOrNew,
    /// Each key as before or as afterwards: the operation is one of several commits.
    EachOldOrNew,
    /// The store may be gone, and a new one begin empty.
    Gone,
}

/// Who else is there when the victim dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// Each second time a process that is attached all along looks afterwards, else one that comes then.
    Sometimes,
    /// Nobody, ever.
    Nobody,
    /// One that is attached all along.
    Always,
    /// The victim is a forked child of one that is attached.
    Parent,
}

pub type Prepared = Box<dyn FnOnce()>;

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// The public calls that it covers.
    pub covers: &'static [&'static str],
    pub capacity: u64,
    /// What the store holds before; `None` when there is no store.
    pub before: Option<fn(&Sync)>,
    /// In the child: whatever comes before the operation, then the operation. The handle is inherited.
    pub prepare: fn(&Path, Option<Sync>) -> Prepared,
    pub sees: Sees,
    pub others: Others,
    /// The fewest kill points.
    pub least: usize,
    /// Whether the file must grow.
    pub grows: bool,
    /// Whether what survivors see must become another: an operation without effect would prove nothing.
    pub changes: bool,
}

pub const KIB: u64 = 1 << 10;
pub const SMALL: u64 = 256 * KIB;
/// Eight shards.
pub const WIDE: u64 = 8 << 20;

/// As all processes here open stores: without a thread, so that each has one.
pub fn options() -> Options {
    Sync::options().liveness_thread(false)
}

pub fn open(path: &Path) -> Sync {
    options().open(path).expect("a store that can be opened")
}

pub const BASE: Operation = Operation {
    name: "",
    covers: &[],
    capacity: SMALL,
    before: Some(three),
    prepare: |_, _| unreachable!(),
    sees: Sees::OldOrNew,
    others: Others::Sometimes,
    least: 1,
    grows: false,
    changes: true,
};

/// An operation on an open store.
macro_rules! on_store {
    ($store:ident => $body:expr) => {
        |path, inherited| {
            let $store = inherited.unwrap_or_else(|| open(path));
            Box::new(move || {
                let _ = $body;
                // Leaving is an operation of its own.
                std::mem::forget($store);
            })
        }
    };
}
pub(crate) use on_store;

pub fn pairs(range: std::ops::Range<u32>) -> BTreeMap<String, u32> {
    range.map(|key| (format!("k/{key}"), key + 1000)).collect()
}

pub fn with_thread(path: &Path, _: Option<Sync>) -> Prepared {
    let store = Sync::options().open(path).unwrap();
    // Long enough for the thread to say who it is.
    std::thread::sleep(Duration::from_millis(15));
    Box::new(move || {
        store.set("a", &VALUE).unwrap();
        std::mem::forget(store);
    })
}

/// Long enough for many words.
pub const VALUE: &str = "A value must have some length, or a set of it would have too few stores in which to die half done. \
    So this one goes on for a while, says nothing of interest, and ends when two hundred bytes are full.";

pub fn encoded() -> Vec<u8> {
    // A string of 200 bytes.
    [&[0xd9, 200], [b'x'; 200].as_slice()].concat()
}

/// Takes every lock, and so finishes or undoes whatever somebody left half done.
pub const RECOVERY: Operation = Operation {
    name: "recovery",
    prepare: on_store!(store => drop(store.exclusive().unwrap())),
    changes: false,
    ..BASE
};

pub fn operations() -> Vec<Operation> {
    let mut all = super::single::single();
    all.extend(updates());
    all.extend(transactions());
    all.extend(super::whole::whole());
    all.extend(super::lock_operations::locks());
    all
}

fn updates() -> Vec<Operation> {
    vec![
        Operation {
            name: "update",
            covers: &["Sync::update"],
            prepare: on_store!(store => store.update("n", |n: Option<i64>| n.map(|n| n + 1)).unwrap()),
            ..BASE
        },
        Operation {
            name: "update, to nothing",
            covers: &["Sync::try_update"],
            prepare: on_store!(store => store.try_update("n", |_: Option<i64>| Ok::<_, shmsync::Error>(None)).unwrap()),
            ..BASE
        },
        Operation {
            name: "update each",
            covers: &["Sync::update_each"],
            before: Some(|store| (0..4).for_each(|key| assert!(store.set(&format!("k/{key}"), &key).is_ok()))),
            prepare: on_store!(store => store.update_each("k/", |_, n: u32| Some(n + 1)).unwrap()),
            sees: Sees::EachOldOrNew,
            ..BASE
        },
        Operation {
            name: "get or insert",
            covers: &["Sync::get_or_insert_with"],
            prepare: on_store!(store => store.get_or_insert_with("new", || 5).unwrap()),
            ..BASE
        },
    ]
}

fn transactions() -> Vec<Operation> {
    vec![
        Operation {
            name: "transaction, one shard",
            covers: &["Sync::transaction", "Transaction::set", "Transaction::remove", "Transaction::increment"],
            prepare: on_store!(store => store.transaction(|tx| {
                tx.set("a", &2)?;
                tx.remove("b")?;
                tx.increment("n", 1)?;
                tx.set("new", &3)
            }).unwrap()),
            ..BASE
        },
        Operation {
            name: "transaction, two shards",
            covers: &["Sync::try_transaction", "Transaction::set_with"],
            capacity: WIDE,
            before: Some(|store| spread(store, 2)),
            prepare: on_store!(store => store.try_transaction::<_, shmsync::Error>(|tx| {
                let keys: Vec<String> = tx.get("spread")?.unwrap();
                tx.set_with(&keys[0], &2, Lifetime::Ttl(Duration::from_secs(3600)))?;
                tx.set_with(&keys[1], &"longer than before, so elsewhere", Lifetime::Forever)
            }).unwrap()),
            ..BASE
        },
        Operation {
            name: "transaction, four shards where blocks rest",
            capacity: WIDE,
            before: Some(rested_spread),
            prepare: on_store!(store => store.transaction(|tx| {
                let keys: Vec<String> = tx.get("spread")?.unwrap();
                keys.iter().try_for_each(|key| tx.increment(key, 1).map(drop))
            }).unwrap()),
            ..BASE
        },
        Operation {
            name: "transaction, five shards",
            capacity: WIDE,
            before: Some(|store| spread(store, 5)),
            prepare: on_store!(store => store.transaction(|tx| {
                let keys: Vec<String> = tx.get("spread")?.unwrap();
                tx.remove(&keys[0])?;
                keys[1..].iter().try_for_each(|key| tx.set(key, &2))
            }).unwrap()),
            ..BASE
        },
        Operation {
            name: "transaction, full",
            changes: false,
            capacity: 128 * KIB,
            before: Some(full),
            prepare: on_store!(store => store.transaction(|tx| {
                tx.set("a", &"x".repeat(2000))?;
                tx.set("new", &"x".repeat(2000))
            }).unwrap_err()),
            ..BASE
        },
    ]
}
