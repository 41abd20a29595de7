//! Keys and namespaces.

use crate::{
    Sync,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
    },
    driver::MAX_KEY_LEN,
};

fn listed(store: &Sync, prefix: &str) -> Outcome<Vec<String>> {
    Ok(store.keys(prefix)?.collect())
}

pub(crate) fn keys_of_any_language_and_length_work(store: &Sync) -> Outcome {
    let longest = "长".repeat(MAX_KEY_LEN / 3);
    for key in ["0", "重庆", "a b\nc", "\0", "../x", "/", "//", &longest] {
        store.set(key, key)?;
        same!(store.get::<String>(key)?.as_deref(), Some(key));
    }
    same!(store.len()?, 8);
    check!(store.remove(&longest)?);
    Ok(())
}

pub(crate) fn an_empty_key_and_one_too_long_are_invalid_for_every_call(store: &Sync) -> Outcome {
    for key in [String::new(), "x".repeat(MAX_KEY_LEN + 1)] {
        let key = key.as_str();
        refused!(Invalid, store.set(key, &1));
        refused!(Invalid, store.get::<i64>(key));
        refused!(Invalid, store.contains(key));
        refused!(Invalid, store.remove(key));
        refused!(Invalid, store.integer(key).increment(1));
        refused!(Invalid, store.update(key, |_: Option<i64>| Some(1)));
        refused!(Invalid, store.compare_and_set(key, None, &1));
        refused!(Invalid, store.get_or_insert_with(key, || 1));
        refused!(Invalid, store.transaction(|tx| tx.set(key, &1)));
        refused!(Invalid, store.watch(key).map(drop));
    }
    same!(store.len()?, 0);
    Ok(())
}

pub(crate) fn namespaces_keep_equal_names_apart(store: &Sync) -> Outcome {
    let (one, two) = (store.namespace("n1"), store.namespace("n2"));
    one.set("k", "one")?;
    one.integer("i").set(1)?;
    same!(two.get::<String>("k")?, None);
    check!(!two.contains("i")?);
    two.set("k", "two")?;
    same!(one.get::<String>("k")?.as_deref(), Some("one"));
    same!(store.get::<String>("n2/k")?.as_deref(), Some("two"));
    same!(one.keys("")?.collect::<Vec<_>>(), ["i", "k"]);
    same!(listed(store, "")?, ["n1/i", "n1/k", "n2/k"]);
    same!((one.len()?, two.len()?, store.len()?), (2, 1, 3));
    Ok(())
}

pub(crate) fn a_namespace_is_not_what_only_begins_like_it(store: &Sync) -> Outcome {
    store.set("jobs", &0)?;
    store.set("jobs2/a", &1)?;
    let jobs = store.namespace("jobs");
    jobs.set("a", &2)?;
    same!(jobs.read_all::<i32>("")?.len(), 1);
    jobs.clear()?;
    same!(listed(store, "")?, ["jobs", "jobs2/a"]);
    Ok(())
}

pub(crate) fn namespaces_nest_and_the_outer_one_covers_the_inner(store: &Sync) -> Outcome {
    let inner = store.namespace("a").namespace("b");
    inner.set("c", &1)?;
    same!(store.namespace("a/b").get::<i32>("c")?, Some(1));
    same!(listed(&store.namespace("a"), "")?, ["b/c"]);
    store.set("outside", &2)?;
    store.namespace("a").clear()?;
    same!(listed(store, "")?, ["outside"]);
    let longest = "x".repeat(MAX_KEY_LEN - 2);
    store.namespace("n").set(&longest, &1)?;
    refused!(Invalid, store.namespace("nn").set(&longest, &1));
    refused!(Invalid, store.namespace("").set("x", &1));
    Ok(())
}

pub(crate) fn everything_in_a_namespace_goes_by_its_short_name(store: &Sync) -> Outcome {
    let space = store.namespace("space");
    space.set("key", &1)?;
    space.update("key", |n: Option<i32>| n.map(|n| n + 1))?;
    space.transaction(|tx| tx.increment("key", 1).map(drop))?;
    same!(store.get::<i32>("space/key")?, Some(3));
    let entries = space.iter::<i32>("")?.collect::<crate::Result<Vec<_>>>()?;
    same!(entries, [("key".to_owned(), 3)]);
    let change = space.watch("key")?.next().ok_or_else(|| Failure::new("a watch ends at once"))??;
    same!(change.key, "key");
    let change = space.watch_prefix("")?.next().ok_or_else(|| Failure::new("a watch ends at once"))??;
    same!(change.key, "key");
    let clash = space.compare_and_set("key", None, &0)?;
    same!(clash.map_err(|conflict| conflict.key), Err("key".to_owned()));
    space.update_each("", |key, n: i32| (key != "key").then_some(n))?;
    same!(store.len()?, 0);
    Ok(())
}
