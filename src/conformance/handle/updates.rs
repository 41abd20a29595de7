//! Read, compute, write back.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::{
    Error, ErrorKind, Sync, Value,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, becomes_true, together},
    },
};

fn raw(store: &Sync, key: &str) -> Outcome<(Vec<u8>, Option<crate::Revision>)> {
    let mut bytes = vec![];
    let revision = store.read_encoded(key, &mut bytes)?;
    Ok((bytes, revision))
}

pub(crate) fn an_update_sees_the_old_value_and_leaves_the_new(store: &Sync) -> Outcome {
    same!(store.update("n", |n: Option<i32>| n.map(|n| n + 1))?, None);
    check!(!store.contains("n")?);
    same!(store.update("n", |n: Option<i32>| Some(n.unwrap_or(41) + 1))?, Some(42));
    same!(store.get::<i32>("n")?, Some(42));
    same!(store.update("n", |_: Option<i32>| None)?, None);
    same!(store.len()?, 0);
    store.set("text", "x")?;
    refused!(TypeMismatch, store.update("text", |_: Option<i32>| Some(1)));
    same!(store.get::<String>("text")?.as_deref(), Some("x"));
    Ok(())
}

pub(crate) fn an_update_to_an_equal_value_is_still_a_write(store: &Sync) -> Outcome {
    let before = store.set("n", &1)?;
    store.update("n", |n: Option<i32>| n)?;
    let after = store.get_versioned::<i32>("n")?;
    check!(after.is_some_and(|(value, revision)| value == 1 && revision > before), "{before} becomes {after:?}");
    Ok(())
}

pub(crate) fn updates_of_many_threads_are_all_counted(store: &Sync) -> Outcome {
    together(8, |number| -> Outcome {
        for _ in 0..100 {
            if number == 0 {
                store.integer("n").increment(1)?;
            } else {
                store.update("n", |n: Option<i64>| Some(n.unwrap_or(0) + 1))?;
            }
        }
        Ok(())
    })?;
    same!(store.get::<i64>("n")?, Some(800));
    Ok(())
}

pub(crate) fn an_update_that_fails_or_panics_changes_nothing(store: &Sync) -> Outcome {
    let before = store.set("n", &1)?;
    let failing = store.try_update("n", |_: Option<i32>| Err(Error::new(ErrorKind::NotOwner, "my own error")));
    refused!(NotOwner, failing);
    let panicking =
        || store.update("n", |_: Option<i32>| -> Option<i32> { std::panic::resume_unwind(Box::new("on purpose")) });
    check!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    same!(store.get_versioned::<i32>("n")?, Some((1, before)));
    same!(store.update("n", |n: Option<i32>| n.map(|n| n + 1))?, Some(2));
    Ok(())
}

pub(crate) fn compare_and_set_changes_only_what_it_expects(store: &Sync) -> Outcome {
    let first = store.compare_and_set("k", None, "a")?.map_err(|conflict| Failure::new(conflict.to_string()))?;
    let clash = store.compare_and_set("k", None, "b")?;
    same!(clash.map_err(|conflict| (conflict.key, conflict.current)), Err(("k".to_owned(), Some(first))));
    let second =
        store.compare_and_set("k", Some(first), "c")?.map_err(|conflict| Failure::new(conflict.to_string()))?;
    check!(second > first);
    same!(store.compare_and_set("k", Some(first), "d")?.map_err(|conflict| conflict.current), Err(Some(second)));
    same!(store.get_versioned::<String>("k")?, Some(("c".to_owned(), second)));
    store.remove("k")?;
    same!(store.compare_and_set("k", Some(second), "e")?.map_err(|conflict| conflict.current), Err(None));
    same!(store.len()?, 0);
    Ok(())
}

pub(crate) fn a_map_that_is_walked_unchanged_stays_byte_for_byte(store: &Sync) -> Outcome {
    // Numbers in a longer form than needed, and a map in an order of its own: writing it back would change it.
    store.set_encoded("a", &[0xCD, 0, 5])?;
    store.set_encoded("b", b"\x82\xA1x\x01\xA1a\xD9\x01s")?;
    store.set_encoded("c", b"\xD9\x01s")?;
    let before = ["a", "b", "c"].map(|key| raw(store, key));
    let mut walked = vec![];
    let changed = store.update_each("", |key, value: Value| {
        walked.push(key.to_owned());
        Some(value)
    })?;
    same!(changed, 0);
    same!(walked, ["a", "b", "c"]);
    for (key, old) in ["a", "b", "c"].iter().zip(before) {
        same!(raw(store, key)?, old?);
    }
    let entries = store.iter::<Value>("")?.collect::<crate::Result<Vec<_>>>()?;
    same!(entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    same!((&entries[0].1, &entries[2].1), (&Value::from(5), &Value::from("s")));
    Ok(())
}

pub(crate) fn update_each_writes_what_changed_and_removes_what_is_none(store: &Sync) -> Outcome {
    for (key, number) in [("p/1", 1), ("p/2", 2), ("p/3", 3), ("q", 4)] {
        store.set(key, &number)?;
    }
    let kept = raw(store, "p/2")?;
    let changed = store.update_each("p/", |_, number: i32| match number {
        1 => None,
        3 => Some(30),
        same => Some(same),
    })?;
    same!(changed, 2);
    same!(raw(store, "p/2")?, kept);
    let all = [("p/2", 2), ("p/3", 30), ("q", 4)].map(|(key, number)| (key.to_owned(), number));
    same!(store.read_all::<i32>("")?, BTreeMap::from(all));
    Ok(())
}

pub(crate) fn a_missing_value_is_computed_once(store: &Sync) -> Outcome {
    let computed = AtomicUsize::new(0);
    let results = together(8, |_| {
        Ok(store.get_or_insert_with("config", || {
            thread::sleep(SHORT);
            computed.fetch_add(1, Ordering::SeqCst) + 100
        })?)
    })?;
    same!(results, [100; 8]);
    same!(computed.load(Ordering::SeqCst), 1);
    same!(store.get_or_insert_with("config", || 7_usize)?, 100);
    same!(store.keys("")?.collect::<Vec<_>>(), ["config"]);
    Ok(())
}

pub(crate) fn a_computation_that_panics_is_taken_over(store: &Sync) -> Outcome {
    let tries = AtomicUsize::new(0);
    let results = together(4, |_| {
        let make = || match tries.fetch_add(1, Ordering::SeqCst) {
            0 => std::panic::resume_unwind(Box::new("on purpose")),
            number => number,
        };
        Ok(catch_unwind(AssertUnwindSafe(|| store.get_or_insert_with("v", make))).ok().transpose()?)
    })?;
    same!(results.iter().filter(|result| result.is_none()).count(), 1);
    check!(results.iter().flatten().all(|value| *value == 1), "{results:?}");
    Ok(())
}

pub(crate) fn a_computation_that_asks_for_itself_is_a_deadlock(store: &Sync) -> Outcome {
    let made = store.get_or_insert_with("outer", || match store.get_or_insert_with("outer", || 1) {
        Err(error) if error.kind() == ErrorKind::Deadlock => 2,
        other => panic!("asked for itself, it answers {other:?}"),
    })?;
    same!(made, 2);
    same!(store.get_or_insert_with("other", || 3)?, 3);
    Ok(())
}

pub(crate) fn a_value_set_meanwhile_is_what_all_get(store: &Sync) -> Outcome {
    let begun = AtomicUsize::new(0);
    let results = together(2, |number| {
        if number == 1 {
            check!(becomes_true(|| Ok(begun.load(Ordering::SeqCst) == 1))?);
            store.set("v", "set meanwhile")?;
        }
        let make = || {
            begun.store(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(150).min(LONG));
            "computed".to_owned()
        };
        Ok(store.get_or_insert_with("v", make)?)
    })?;
    same!(results, ["set meanwhile", "set meanwhile"]);
    same!(store.get::<String>("v")?.as_deref(), Some("set meanwhile"));
    Ok(())
}
