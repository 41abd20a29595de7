//! What is killed: one entry for each way in which a public call changes a store.

use std::{collections::BTreeMap, path::Path, time::Duration};

use shmsync::{Lifetime, Options, Sync};

use super::fillings::{brimful, closed, crowded, deserted, full, many, mortal, spread, three};
use super::lock_operations::locks;

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

type Prepared = Box<dyn FnOnce()>;

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

const KIB: u64 = 1 << 10;
const SMALL: u64 = 256 * KIB;
/// Eight shards.
const WIDE: u64 = 8 << 20;

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

fn pairs(range: std::ops::Range<u32>) -> BTreeMap<String, u32> {
    range.map(|key| (format!("k/{key}"), key + 1000)).collect()
}

fn with_thread(path: &Path, _: Option<Sync>) -> Prepared {
    let store = Sync::options().open(path).unwrap();
    // Long enough for the thread to say who it is.
    std::thread::sleep(Duration::from_millis(15));
    Box::new(move || {
        store.set("a", &VALUE).unwrap();
        std::mem::forget(store);
    })
}

/// Long enough for many words.
const VALUE: &str = "A value must have some length, or a set of it would have too few stores in which to die half done. \
    So this one goes on for a while, says nothing of interest, and ends when two hundred bytes are full.";

fn encoded() -> Vec<u8> {
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
    let mut all = single();
    all.extend(several());
    all.extend(whole());
    all
}

fn single() -> Vec<Operation> {
    vec![
        Operation {
            name: "set, insert",
            covers: &["Sync::set", "Sync::set_bytes"],
            prepare: on_store!(store => store.set_bytes("new", &[2; 200]).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, overwrite small",
            prepare: on_store!(store => store.set_bytes("a", &[2; 200]).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, overwrite large",
            before: Some(|store| assert!(store.set_bytes("a", &[1; 9000]).is_ok())),
            prepare: on_store!(store => store.set_bytes("a", &[2; 9000]).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, overwrite in another size",
            prepare: on_store!(store => store.set_bytes("a", &[2; 800]).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, the index grows",
            before: Some(crowded),
            prepare: on_store!(store => store.set_bytes("new", &[2; 200]).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, the file grows",
            before: Some(brimful),
            prepare: on_store!(store => store.set_bytes("new", &[2; 6000]).unwrap()),
            least: 50,
            grows: true,
            ..BASE
        },
        Operation {
            name: "set, full: a new key",
            changes: false,
            capacity: 128 * KIB,
            before: Some(full),
            prepare: on_store!(store => store.set_bytes("new", &[2; 3000]).unwrap_err()),
            least: 20,
            ..BASE
        },
        Operation {
            name: "set, full: a larger value",
            changes: false,
            capacity: 128 * KIB,
            before: Some(full),
            prepare: on_store!(store => store.set_bytes("a", &[2; 9000]).unwrap_err()),
            least: 20,
            ..BASE
        },
        Operation {
            name: "set, with a lifetime",
            covers: &["Sync::set_with"],
            prepare: on_store!(store => store.set_with("a", &VALUE, Lifetime::Ttl(Duration::from_secs(3600))).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, as long as the process lives",
            prepare: on_store!(store => store.set_with("a", &VALUE, Lifetime::Process).unwrap()),
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, encoded",
            covers: &["Sync::set_encoded"],
            prepare: on_store!(store => store.set_encoded("a", &encoded()).unwrap()),
            least: 50,
            ..BASE
        },
        Operation { name: "set, beside a watching thread", prepare: with_thread, least: 50, ..BASE },
        Operation {
            name: "set, burying the dead",
            before: Some(mortal),
            prepare: on_store!(store => (0..6).for_each(|_| assert!(store.set("a", &2).is_ok()))),
            sees: Sees::EachOldOrNew,
            least: 50,
            ..BASE
        },
        Operation {
            name: "set, first use in a forked child",
            prepare: on_store!(store => store.set("a", &VALUE).unwrap()),
            others: Others::Parent,
            least: 50,
            ..BASE
        },
        Operation {
            name: "compare and set",
            covers: &["Sync::compare_and_set"],
            prepare: |path, _| {
                let store = open(path);
                let (_, seen) = store.get_versioned::<i64>("n").unwrap().unwrap();
                Box::new(move || {
                    store.compare_and_set("n", Some(seen), &2).unwrap().unwrap();
                    std::mem::forget(store);
                })
            },
            ..BASE
        },
        Operation {
            name: "remove",
            covers: &["Sync::remove"],
            prepare: on_store!(store => store.remove("b").unwrap()),
            ..BASE
        },
        Operation {
            name: "remove, the index shrinks",
            before: Some(deserted),
            prepare: on_store!(store => store.remove("k/1").unwrap()),
            ..BASE
        },
        Operation {
            name: "increment",
            covers: &["Integer::increment"],
            prepare: on_store!(store => store.integer("n").increment(1).unwrap()),
            ..BASE
        },
        Operation {
            name: "decrement, from nothing",
            covers: &["Integer::decrement"],
            prepare: on_store!(store => store.integer("new").decrement(1).unwrap()),
            ..BASE
        },
        Operation {
            name: "integer, set",
            covers: &["Integer::set"],
            prepare: on_store!(store => store.integer("n").set(1 << 40).unwrap()),
            ..BASE
        },
        Operation {
            name: "integer, remove",
            covers: &["Integer::remove"],
            prepare: on_store!(store => store.integer("n").remove().unwrap()),
            ..BASE
        },
    ]
}

fn several() -> Vec<Operation> {
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

fn whole() -> Vec<Operation> {
    let mut all = vec![
        Operation {
            name: "replace all",
            covers: &["Sync::replace_all"],
            before: Some(many),
            prepare: on_store!(store => store.replace_all("k/", &pairs(30..60)).unwrap()),
            ..BASE
        },
        Operation {
            name: "replace all, eight shards",
            covers: &["Sync::replace_all_encoded"],
            capacity: WIDE,
            before: Some(many),
            prepare: |path, _| {
                let store = open(path);
                let mut entries = store.read_all_encoded("k/").unwrap();
                entries.retain(|entry| entry.key.ends_with('1') || entry.key.ends_with('2'));
                entries.iter_mut().for_each(|entry| entry.value = vec![3]);
                Box::new(move || {
                    store.replace_all_encoded("k/", &entries).unwrap();
                    std::mem::forget(store);
                })
            },
            ..BASE
        },
        Operation {
            name: "clear",
            covers: &["Sync::clear"],
            before: Some(many),
            prepare: on_store!(store => store.clear().unwrap()),
            ..BASE
        },
        Operation {
            name: "watch a key",
            changes: false,
            covers: &["Sync::watch", "Sync::watch_keys", "Watch::next_timeout", "Watch::next_deadline"],
            prepare: on_store!(store => {
                let mut watch = store.watch("a").unwrap();
                while watch.next_timeout(Duration::from_millis(1)).unwrap().is_some() {}
                drop(watch);
            }),
            ..BASE
        },
        Operation {
            name: "watch a prefix",
            changes: false,
            covers: &["Sync::watch_prefix"],
            prepare: on_store!(store => {
                let mut watch = store.watch_prefix("").unwrap();
                while watch.next_timeout(Duration::from_millis(1)).unwrap().is_some() {}
                drop(watch);
            }),
            ..BASE
        },
        Operation {
            name: "flush",
            changes: false,
            covers: &["Sync::flush"],
            prepare: on_store!(store => store.flush().unwrap()),
            ..BASE
        },
    ];
    all.extend(exclusive());
    all.extend(locks());
    all.extend(comings_and_goings());
    all
}

fn exclusive() -> Vec<Operation> {
    vec![
        Operation {
            name: "exclusive",
            covers: &["Sync::exclusive", "Sync::try_exclusive", "Sync::exclusive_timeout", "Sync::exclusive_deadline"],
            prepare: on_store!(store => {
                let inside = store.exclusive().unwrap();
                inside.set("a", &2).unwrap();
                inside.set("b", &2).unwrap();
            }),
            sees: Sees::EachOldOrNew,
            ..BASE
        },
        Operation {
            name: "exclusive, after a dead holder",
            changes: false,
            before: Some(closed),
            prepare: on_store!(store => drop(store.exclusive().unwrap())),
            ..BASE
        },
        Operation {
            name: "force open",
            changes: false,
            covers: &["Sync::force_open"],
            before: Some(closed),
            prepare: on_store!(store => assert!(store.force_open().unwrap())),
            ..BASE
        },
    ]
}

fn comings_and_goings() -> Vec<Operation> {
    let attach: fn(&Path, Option<Sync>) -> Prepared = |path, _| {
        let path = path.to_owned();
        Box::new(move || std::mem::forget(open(&path)))
    };
    vec![
        Operation { name: "attach, alone", changes: false, others: Others::Nobody, prepare: attach, ..BASE },
        Operation {
            name: "attach, not alone",
            changes: false,
            covers: &["Sync::open", "Options::open"],
            others: Others::Always,
            prepare: attach,
            ..BASE
        },
        Operation {
            name: "attach, first creation",
            changes: false,
            before: None,
            others: Others::Nobody,
            prepare: |path, _| {
                let path = path.to_owned();
                Box::new(move || std::mem::forget(options().capacity(SMALL).open(path).unwrap()))
            },
            sees: Sees::Gone,
            ..BASE
        },
        Operation {
            name: "leave",
            changes: false,
            covers: &["Sync::close"],
            prepare: |path, _| {
                let store = open(path);
                store.set_with("mine", &1, Lifetime::Process).unwrap();
                Box::new(move || store.close().unwrap())
            },
            sees: Sees::EachOldOrNew,
            ..BASE
        },
        Operation {
            name: "destroy",
            covers: &["Sync::destroy"],
            prepare: on_store!(store => store.destroy().unwrap()),
            sees: Sees::Gone,
            ..BASE
        },
        Operation {
            name: "destroy by name",
            covers: &["Options::destroy"],
            prepare: |path, _| {
                let path = path.to_owned();
                Box::new(move || options().destroy(path).unwrap())
            },
            sees: Sees::Gone,
            ..BASE
        },
    ]
}
