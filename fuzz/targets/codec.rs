//! Bytes of a value as others may have written them: each answer is fine, but it must be one, and small.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use shmsync::{Sync, Value};

static STORE: LazyLock<Sync> = LazyLock::new(|| Sync::open("memory:").expect("a store in memory"));

#[derive(serde::Deserialize, serde::Serialize)]
#[allow(dead_code, reason = "decoded into")]
struct Job {
    id: u64,
    name: Option<String>,
    parts: Vec<(f64, bool)>,
    kind: Kind,
    more: BTreeMap<String, Value>,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[allow(dead_code, reason = "decoded into")]
enum Kind {
    Plain,
    Sized(i32),
    Named { text: String },
}

fuzz_target!(|bytes: &[u8]| {
    if STORE.set_encoded("key", bytes).is_err() {
        return;
    }
    let _ = STORE.get::<Job>("key");
    let _ = STORE.get::<Vec<Kind>>("key");
    let _ = STORE.get::<BTreeMap<String, u8>>("key");
    let _ = STORE.get::<i128>("key");
    let _ = STORE.get::<String>("key");
    let _ = STORE.get_bytes("key");
    let _ = STORE.integer("key").get();
    let _ = STORE.integer("key").increment(1);
    let Ok(Some(value)) = STORE.get::<Value>("key") else { return };
    // What was decoded can be stored, and comes back the same.
    STORE.set("copy", &value).expect("a value that was stored");
    let copy = STORE.get::<Value>("copy").expect("what was stored just now");
    // As text: what is not a number is not equal to itself.
    assert_eq!(format!("{copy:?}"), format!("{:?}", Some(value)));
});
