//! Typed values, null, bytes, lifetimes.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer, ser::Error as _};

use crate::{
    Lifetime, Sync, Value,
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::{LONG, becomes_true},
    },
};

/// A value whose encoding fails after some of it was written.
struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = serializer.serialize_seq(Some(3))?;
        list.serialize_element("first")?;
        Err(S::Error::custom("this cannot be encoded"))
    }
}

pub(crate) fn values_of_all_kinds_come_back(store: &Sync) -> Outcome {
    store.set("text", "hello")?;
    same!(store.get::<String>("text")?.as_deref(), Some("hello"));
    store.set("number", &-5_i8)?;
    same!(store.get::<i64>("number")?, Some(-5));
    store.set("float", &f64::NEG_INFINITY)?;
    same!(store.get::<f64>("float")?, Some(f64::NEG_INFINITY));
    store.set("nested", &BTreeMap::from([("list", vec![Some((1, true)), None])]))?;
    same!(
        store.get::<BTreeMap<String, Vec<Option<(u8, bool)>>>>("nested")?,
        Some(BTreeMap::from([("list".to_owned(), vec![Some((1, true)), None])]))
    );
    let dynamic = Value::Map(vec![(Value::from("x"), Value::Array(vec![Value::from(1), Value::Nil]))]);
    store.set("dynamic", &dynamic)?;
    same!(store.get::<Value>("dynamic")?, Some(dynamic));
    same!(store.get::<Value>("text")?, Some(Value::from("hello")));
    same!(store.get::<String>("missing")?, None);
    same!(store.get_or("missing", 3)?, 3);
    same!(store.get_or("number", 3)?, -5);
    refused!(TypeMismatch, store.get::<i64>("text"));
    refused!(TypeMismatch, store.get_or("text", 3));
    Ok(())
}

pub(crate) fn what_is_empty_or_false_is_present_and_null_is_not(store: &Sync) -> Outcome {
    store.set("v", &0)?;
    check!(store.contains("v")?);
    store.set("v", "")?;
    check!(store.contains("v")?);
    store.set("v", &false)?;
    check!(store.contains("v")?);
    store.set("v", &Vec::<u8>::new())?;
    check!(store.contains("v")?);
    store.set("v", &BTreeMap::<String, u8>::new())?;
    check!(store.contains("v")?);
    store.set("v", &None::<u8>)?;
    check!(!store.contains("v")?);
    check!(!store.contains("never")?);
    Ok(())
}

pub(crate) fn null_is_stored_and_counts_but_has_no_value(store: &Sync) -> Outcome {
    store.set("null", &None::<u8>)?;
    same!(store.get::<Option<u8>>("null")?, Some(None));
    same!(store.get::<u8>("null")?, None);
    same!(store.get::<Value>("null")?, Some(Value::Nil));
    same!(store.get_or("null", 7)?, 7);
    same!(store.len()?, 1);
    same!(store.keys("")?.collect::<Vec<_>>(), ["null"]);
    refused!(TypeMismatch, store.read_all::<u8>(""));
    refused!(TypeMismatch, store.iter::<u8>("")?.collect::<crate::Result<Vec<_>>>());
    same!(store.read_all::<Option<u8>>("")?, BTreeMap::from([("null".to_owned(), None)]));
    check!(store.remove("null")?);
    Ok(())
}

pub(crate) fn deep_values_come_back_whole(store: &Sync) -> Outcome {
    let deep = (0..100).fold(Value::from("end"), |inner, _| Value::Array(vec![inner]));
    store.set("deep", &deep)?;
    check!(store.get::<Value>("deep")? == Some(deep), "a deep value does not come back");
    Ok(())
}

pub(crate) fn large_values_come_back_whole(store: &Sync) -> Outcome {
    let text: String = ('a'..='z').cycle().take(1_703_962).collect();
    store.set("large", &text)?;
    check!(store.get::<String>("large")?.as_ref() == Some(&text), "a large text does not come back");
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|at| (at / 7) as u8).collect();
    store.set_bytes("bytes", &bytes)?;
    check!(store.get_bytes("bytes")?.as_ref() == Some(&bytes), "large bytes do not come back");
    Ok(())
}

pub(crate) fn bytes_are_bytes_and_nothing_else(store: &Sync) -> Outcome {
    for bytes in [&b""[..], b"\0", b"\xFF\xFE", &[7; 255], &[7; 256], &[7; 65_536]] {
        store.set_bytes("bytes", bytes)?;
        check!(store.get_bytes("bytes")?.as_deref() == Some(bytes), "{} bytes do not come back", bytes.len());
        check!(store.contains("bytes")?);
    }
    check!(matches!(store.get::<Value>("bytes")?, Some(Value::Binary(_))));
    same!(store.get_bytes("missing")?, None);
    store.set("text", "not bytes")?;
    refused!(TypeMismatch, store.get_bytes("text"));
    store.set("list", &[1_u8, 2])?;
    refused!(TypeMismatch, store.get_bytes("list"));
    Ok(())
}

pub(crate) fn encoded_values_pass_as_they_are(store: &Sync) -> Outcome {
    let written = store.set_encoded("raw", &[0xCF, 0, 0, 0, 0, 0, 0, 0, 1])?;
    let mut into = b"left over".to_vec();
    same!(store.read_encoded("raw", &mut into)?, Some(written));
    same!(into, [0xCF, 0, 0, 0, 0, 0, 0, 0, 1]);
    same!(store.get::<u8>("raw")?, Some(1));
    same!(store.read_encoded("missing", &mut into)?, None);
    for bad in [&[][..], &[0xC1], &[1, 2], &[0x92, 1], &[0xA5, b'x'], &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF]] {
        refused!(Invalid, store.set_encoded("raw", bad));
    }
    same!(store.get::<u8>("raw")?, Some(1));
    Ok(())
}

pub(crate) fn a_write_that_cannot_be_encoded_keeps_the_old_value(store: &Sync) -> Outcome {
    let old = store.set("v", &1)?;
    refused!(Invalid, store.set("v", &Unencodable));
    refused!(Invalid, store.set_with("v", &Unencodable, Lifetime::Ttl(LONG)));
    refused!(Invalid, store.compare_and_set("v", Some(old), &Unencodable));
    refused!(
        Invalid,
        store.transaction(|tx| {
            tx.set("w", &2)?;
            tx.set("v", &Unencodable)
        })
    );
    same!(store.get_versioned::<i32>("v")?, Some((1, old)));
    same!(store.len()?, 1);
    Ok(())
}

pub(crate) fn removing_takes_one_key_and_never_complains(store: &Sync) -> Outcome {
    store.set("hello", &1)?;
    store.set("foo", &2)?;
    check!(store.remove("hello")?);
    check!(!store.remove("nope")?);
    check!(!store.remove("hello")?);
    same!(store.get::<i32>("hello")?, None);
    same!(store.get::<i32>("foo")?, Some(2));
    store.clear()?;
    same!(store.len()?, 0);
    Ok(())
}

pub(crate) fn an_entry_with_a_ttl_is_listed_until_it_expires(store: &Sync) -> Outcome {
    let begun = Instant::now();
    store.set_with("short", &1, Lifetime::Ttl(Duration::from_millis(400)))?;
    store.set("long", &2)?;
    if begun.elapsed() < Duration::from_millis(300) {
        let (value, keys) = (store.get::<i32>("short")?, store.keys("")?.collect::<Vec<_>>());
        if begun.elapsed() < Duration::from_millis(350) {
            same!(value, Some(1));
            same!(keys, ["long", "short"]);
        }
    }
    check!(becomes_true(|| Ok(!store.contains("short")?))?, "an entry never expires");
    same!(store.keys("")?.collect::<Vec<_>>(), ["long"]);
    same!((store.len()?, store.iter::<i32>("")?.count(), store.read_all::<i32>("")?.len()), (1, 1, 1));
    check!(!store.remove("short")?);
    refused!(Invalid, store.set_with("zero", &1, Lifetime::Ttl(Duration::ZERO)));
    Ok(())
}

pub(crate) fn a_set_ends_the_ttl_and_other_changes_keep_it(store: &Sync) -> Outcome {
    let time = Duration::from_millis(300);
    for key in ["set", "updated", "incremented", "exchanged", "in a transaction"] {
        store.set_with(key, &1, Lifetime::Ttl(time))?;
    }
    store.set("set", &2)?;
    let begun = Instant::now();
    store.update("updated", |n: Option<i64>| Some(n.unwrap_or(0) + 1))?;
    store.integer("incremented").increment(1)?;
    let seen = store.get_versioned::<i64>("exchanged")?.map(|(_, revision)| revision);
    check!(store.compare_and_set("exchanged", seen, &2)?.is_ok());
    store.transaction(|tx| tx.increment("in a transaction", 1))?;
    if begun.elapsed() > time / 2 {
        return Ok(()); // Too slow a machine to tell anything.
    }
    check!(becomes_true(|| Ok(store.len()? == 1))?, "some change made an entry stay: {:?}", store.keys(""));
    thread::sleep(time / 2);
    same!(store.get::<i64>("set")?, Some(2));
    Ok(())
}

pub(crate) fn an_entry_of_a_living_process_stays(store: &Sync) -> Outcome {
    store.set_with("mine", &1, Lifetime::Process)?;
    thread::sleep(Duration::from_millis(50));
    same!(store.get::<i32>("mine")?, Some(1));
    store.integer("mine").increment(1)?;
    same!(store.keys("")?.collect::<Vec<_>>(), ["mine"]);
    Ok(())
}
