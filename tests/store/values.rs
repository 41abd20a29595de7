//! Values under keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shmsync::{ErrorKind, Value};

use crate::{kind, store};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    tries: u8,
    state: State,
    notes: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Waiting,
    Running { pid: u32 },
}

fn job() -> Job {
    Job { name: "backup".into(), tries: 3, state: State::Running { pid: 42 }, notes: None }
}

#[test]
fn what_was_set_is_got_until_it_is_removed() {
    let store = store();
    store.set("hello", "world").unwrap();
    store.set("foo", "bar").unwrap();
    assert_eq!(store.get::<String>("hello").unwrap().as_deref(), Some("world"));
    assert!(store.remove("hello").unwrap());
    assert!(!store.remove("nope").unwrap());
    assert_eq!(store.get::<String>("hello").unwrap(), None);
    assert_eq!(store.get::<String>("foo").unwrap().as_deref(), Some("bar"));
}

#[test]
fn structs_are_maps_that_other_languages_can_read() {
    let store = store();
    store.set("job", &job()).unwrap();
    assert_eq!(store.get::<Job>("job").unwrap(), Some(job()));
    let value = store.get::<Value>("job").unwrap().unwrap();
    assert_eq!(value["name"], Value::from("backup"));
    assert_eq!(value["state"]["Running"]["pid"], Value::from(42));
}

#[test]
fn empty_values_count_as_present_and_null_does_not() {
    let store = store();
    store.set("x", &0).unwrap();
    assert!(store.contains("x").unwrap());
    store.set("x", "").unwrap();
    assert!(store.contains("x").unwrap());
    store.set("x", &false).unwrap();
    assert!(store.contains("x").unwrap());
    store.set::<[u8]>("x", &[]).unwrap();
    assert!(store.contains("x").unwrap());
    store.set("x", &BTreeMap::<String, u8>::new()).unwrap();
    assert!(store.contains("x").unwrap());
    store.set("x", &None::<u8>).unwrap();
    assert!(!store.contains("x").unwrap());
}

#[test]
fn null_is_what_the_asker_can_make_of_it() {
    let store = store();
    store.set("n", &()).unwrap();
    assert_eq!(store.get::<i64>("n").unwrap(), None);
    assert_eq!(store.get::<Option<i64>>("n").unwrap(), Some(None));
    assert_eq!(store.get::<Value>("n").unwrap(), Some(Value::Nil));
    assert_eq!(store.get_versioned::<i64>("n").unwrap(), None);
    assert_eq!(store.get_or("n", 7).unwrap(), 7);
    assert_eq!(store.get_bytes("n").unwrap(), None);
    assert_eq!(store.len().unwrap(), 1);
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["n"]);
    assert_eq!(kind(store.read_all::<i64>("")), ErrorKind::TypeMismatch);
    assert_eq!(kind(store.iter::<i64>("").unwrap().next().unwrap()), ErrorKind::TypeMismatch);
}

#[test]
fn numbers_become_what_holds_them_and_nothing_else() {
    let store = store();
    store.set("five", &5).unwrap();
    assert_eq!(store.get::<f64>("five").unwrap(), Some(5.0));
    assert_eq!(store.get::<u8>("five").unwrap(), Some(5));
    assert_eq!(kind(store.get::<bool>("five")), ErrorKind::TypeMismatch);
    assert_eq!(kind(store.get::<String>("five")), ErrorKind::TypeMismatch);
    store.set("big", &300).unwrap();
    assert_eq!(kind(store.get::<u8>("big")), ErrorKind::TypeMismatch);
}

#[test]
fn names_are_any_text_and_values_may_be_large() {
    let store = store();
    let large = "x".repeat(1_703_962);
    for key in ["0", "重庆", "a\nb", "/", " ", &"k".repeat(65_536)] {
        store.set(key, &large).unwrap();
        assert_eq!(store.get::<String>(key).unwrap().as_ref(), Some(&large));
    }
}

#[test]
fn bytes_are_bytes_of_any_length_and_nothing_else_is() {
    let store = store();
    for len in [0, 1, 255, 256, 65_535, 65_536, 100_000] {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        store.set_bytes("b", &bytes).unwrap();
        assert_eq!(store.get_bytes("b").unwrap(), Some(bytes.clone()));
        assert_eq!(store.get::<Value>("b").unwrap(), Some(Value::Binary(bytes)));
    }
    store.set("b", "text").unwrap();
    assert_eq!(kind(store.get_bytes("b")), ErrorKind::TypeMismatch);
    assert_eq!(store.get_bytes("absent").unwrap(), None);
}

#[test]
fn raw_values_pass_unchanged_and_are_checked_first() {
    let store = store();
    // 5, written longer than needed, as some libraries do.
    let revision = store.set_encoded("five", &[0xcd, 0, 5]).unwrap();
    let mut buffer = b"old content".to_vec();
    assert_eq!(store.read_encoded("five", &mut buffer).unwrap(), Some(revision));
    assert_eq!(buffer, [0xcd, 0, 5]);
    assert_eq!(store.read_encoded("absent", &mut buffer).unwrap(), None);
    let garbage: [&[u8]; 7] = [
        &[],
        &[0xc1],
        &[0xcd, 0],
        &[0x92, 1],
        &[1, 2],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in garbage {
        assert_eq!(kind(store.set_encoded("five", bytes)), ErrorKind::Invalid, "{bytes:x?}");
    }
    assert_eq!(store.get::<i64>("five").unwrap(), Some(5));
}

#[test]
fn a_write_that_cannot_be_encoded_keeps_the_old_value() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let store = store();
    store.set("v", &1).unwrap();
    assert_eq!(kind(store.set("v", &Broken)), ErrorKind::Invalid);
    assert_eq!(store.get::<i64>("v").unwrap(), Some(1));
}

#[test]
fn deep_nesting_is_stored_whole_or_refused() {
    let nested = |depth| (0..depth).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
    let store = store();
    let deepest = (1..2_000).take_while(|&depth| store.set("deep", &nested(depth)).is_ok()).last().unwrap();
    assert!(deepest >= 120, "{deepest}");
    assert_eq!(store.get::<Value>("deep").unwrap(), Some(nested(deepest)));
    assert_eq!(kind(store.set("deep", &nested(deepest + 1))), ErrorKind::Invalid);
    let maps = (0..deepest).fold(Value::from(1), |inner, _| Value::Map(vec![(Value::from("k"), inner)]));
    store.set("deep", &maps).unwrap();
    assert_eq!(store.get::<Value>("deep").unwrap(), Some(maps));
}

#[test]
fn compare_and_set_has_one_winner() {
    let store = store();
    let first = store.compare_and_set("k", None, "a").unwrap().unwrap();
    let conflict = store.compare_and_set("k", None, "b").unwrap().unwrap_err();
    assert_eq!((conflict.key.as_str(), conflict.current), ("k", Some(first)));
    let second = store.compare_and_set("k", Some(first), "c").unwrap().unwrap();
    assert!(second > first);
    store.remove("k").unwrap();
    let conflict = store.compare_and_set("k", Some(second), "d").unwrap().unwrap_err();
    assert_eq!(conflict.current, None);
    assert!(store.set("k", "e").unwrap() > second, "revisions grow over removal");
}

#[test]
fn a_namespace_is_a_prefix_that_is_not_seen_inside() {
    let store = store();
    let inner = store.namespace("a").namespace("b");
    inner.set("k", &1).unwrap();
    store.set("other", &2).unwrap();
    assert_eq!(store.get::<i64>("a/b/k").unwrap(), Some(1));
    assert_eq!(inner.keys("").unwrap().collect::<Vec<_>>(), ["k"]);
    assert_eq!(inner.len().unwrap(), 1);
    let conflict = inner.compare_and_set("k", None, &2).unwrap().unwrap_err();
    assert_eq!(conflict.key, "k");
    inner.clear().unwrap();
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["other"]);
    assert_eq!(kind(store.namespace("").get::<i64>("k")), ErrorKind::Invalid);
    assert_eq!(kind(store.namespace("").len()), ErrorKind::Invalid);
}

#[test]
fn a_value_may_use_the_store_while_it_is_written() {
    struct Nosy(shmsync::Sync);
    impl Serialize for Nosy {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let other = self.0.namespace("n").get_or("other", 1).map_err(serde::ser::Error::custom)?;
            serializer.serialize_i64(other)
        }
    }
    let store = store();
    store.namespace("n").set("other", &9).unwrap();
    store.namespace("n").set("nosy", &Nosy(store.clone())).unwrap();
    assert_eq!(store.get::<i64>("n/nosy").unwrap(), Some(9));
}

#[test]
fn handles_cross_threads_and_say_what_they_are() {
    fn crosses<T: Send + core::marker::Sync + Clone + std::fmt::Debug + 'static>(_: &T) {}
    fn sends<T: Send>(_: &T) {}
    let store = store();
    crosses(&store);
    crosses(&store.integer("n"));
    sends(&store.watch("n").unwrap());
    crosses(&store.watch("n").unwrap().stop_handle());
    assert!(format!("{:?}", store.namespace("ns")).contains("ns/"));
}
