//! What changes one key: sets, removals, integers.

use std::time::Duration;

use shmsync::Lifetime;

use super::{
    fillings::{brimful, crowded, deserted, full, mortal, rested_integers, rested_texts},
    operations::{BASE, KIB, Operation, Others, Sees, VALUE, encoded, on_store, open, with_thread},
};

pub fn single() -> Vec<Operation> {
    [sets(), sets_elsewhere(), removals(), integers()].concat()
}

/// In a store with room.
fn sets() -> Vec<Operation> {
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
            name: "set, overwrite where blocks of that size rest",
            before: Some(rested_texts),
            prepare: on_store!(store => store.set_bytes("a", &[77; 200]).unwrap()),
            least: 30,
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
    ]
}

/// Where more than the key changes, or others are there.
fn sets_elsewhere() -> Vec<Operation> {
    vec![
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
        Operation { name: "set, beside a watching thread", prepare: with_thread, least: 50, ..BASE },
        Operation {
            name: "set, burying the dead",
            before: Some(mortal),
            prepare: on_store!(store => (0..9).for_each(|_| assert!(store.set("a", &2).is_ok()))),
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
    ]
}

fn removals() -> Vec<Operation> {
    vec![
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
    ]
}

fn integers() -> Vec<Operation> {
    vec![
        Operation {
            name: "increment",
            covers: &["Integer::increment"],
            prepare: on_store!(store => store.integer("n").increment(1).unwrap()),
            ..BASE
        },
        Operation {
            name: "increment, where blocks of that size rest",
            before: Some(rested_integers),
            prepare: on_store!(store => store.integer("n").increment(1000).unwrap()),
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
