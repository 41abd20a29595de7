//! What stores hold before an operation.

use std::{collections::BTreeMap, time::Duration};

use shmsync::{Lifetime, Sync};

pub fn three(store: &Sync) {
    for (key, len) in [("a", 200), ("b", 100), ("c", 600)] {
        store.set_bytes(key, &vec![1; len]).unwrap();
    }
    store.integer("n").set(41).unwrap();
}

/// As many blocks rest as can, all of the size of the text: what is written next goes to the oldest one of them.
pub fn rested_texts(store: &Sync) {
    three(store);
    (0..16).for_each(|round| assert!(store.set_bytes("a", &[round; 200]).is_ok()));
}

/// [`spread`] over four shards, in each of which blocks of that size rest.
pub fn rested_spread(store: &Sync) {
    spread(store, 4);
    let keys: Vec<String> = store.get("spread").unwrap().unwrap();
    for key in &keys {
        (0..16).for_each(|_| assert!(store.integer(key).increment(1).is_ok()));
    }
}

/// As [`rested_texts`], of the size of the integer.
pub fn rested_integers(store: &Sync) {
    three(store);
    (0..16).for_each(|_| assert!(store.integer("n").increment(1).is_ok()));
}

pub fn many(store: &Sync) {
    for key in 0..40 {
        store.set_bytes(&format!("k/{key}"), &vec![key; 30 + usize::from(key)]).unwrap();
    }
    store.integer("n").set(41).unwrap();
}

/// The next new key makes the index double.
pub fn crowded(store: &Sync) {
    for key in 0..48 {
        store.set(&format!("k/{key}"), &key).unwrap();
    }
}

/// The next removal makes the index smaller.
pub fn deserted(store: &Sync) {
    for key in 0..200 {
        store.set(&format!("k/{key}"), &key).unwrap();
    }
    (33..200).for_each(|key| assert!(store.remove(&format!("k/{key}")).unwrap()));
}

/// No extent is free in the file.
pub fn brimful(store: &Sync) {
    store.set_bytes("a", &[1; 200]).unwrap();
    for key in 0.. {
        let stats = store.stats().unwrap();
        let len = match stats.allocated_bytes - HEADER - stats.used_bytes {
            0 => break,
            4096 => 500,
            _ => 5000,
        };
        store.set_bytes(&format!("fill/{key}"), &vec![7; len]).unwrap();
    }
}

/// Of a store of 256 KiB: header, space, wait words, watches, participants, one shard, table.
const HEADER: u64 = 11 * 4096;

/// Nothing more fits.
pub fn full(store: &Sync) {
    store.set_bytes("a", &[1; 40]).unwrap();
    for len in [3000, 400, 100, 20] {
        for key in 0.. {
            if store.set_bytes(&format!("fill/{len}/{key}"), &vec![7; len]).is_err() {
                break;
            }
        }
    }
}

/// Entries that are dead already, and some that are not.
pub fn mortal(store: &Sync) {
    three(store);
    for key in 0..12 {
        store.set_with(&format!("mortal/{key}"), &[key; 20], Lifetime::Process).unwrap();
        store.set_with(&format!("late/{key}"), &[key; 20], Lifetime::Ttl(Duration::from_millis(1))).unwrap();
        store.set_with(&format!("long/{key}"), &[key; 20], Lifetime::Ttl(Duration::from_secs(3600))).unwrap();
    }
    std::thread::sleep(Duration::from_millis(3));
}

/// Somebody has died with the store for himself.
pub fn closed(store: &Sync) {
    three(store);
    std::mem::forget(store.exclusive().unwrap());
}

/// Keeps the names of so many keys in as many shards under "spread". Revisions end with the number of their shard.
pub fn spread(store: &Sync, shards: usize) {
    let mut keys: BTreeMap<u64, String> = BTreeMap::new();
    for number in 0..200 {
        let key = format!("k/{number}");
        let shard = store.set(&key, &1).unwrap().get() & 63;
        let here = keys.len();
        if here < shards || keys.contains_key(&shard) {
            keys.entry(shard).or_insert(key.clone());
        }
        if !keys.values().any(|kept| *kept == key) {
            store.remove(&key).unwrap();
        }
    }
    assert_eq!(keys.len(), shards, "a store of that many shards");
    store.set("spread", &keys.into_values().collect::<Vec<_>>()).unwrap();
}
