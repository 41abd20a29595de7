//! What concerns the store as a whole: replacing, watching, excluding, coming and going.

use std::{path::Path, time::Duration};

use shmsync::{Lifetime, Sync};

use super::{
    fillings::{closed, many},
    operations::{BASE, Operation, Others, Prepared, SMALL, Sees, WIDE, on_store, open, options, pairs},
};

pub fn whole() -> Vec<Operation> {
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
            // So many that their slots are condemned, and what rests is freed at the end.
            name: "clear, many of one shard",
            covers: &["Sync::clear"],
            before: Some(|store| (0..100).for_each(|key| assert!(store.set(&format!("k/{key}"), &key).is_ok()))),
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
