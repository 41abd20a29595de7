//! Everything at once.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    Sync,
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::together,
    },
};

fn generation(number: u32) -> BTreeMap<String, u32> {
    (0..50).map(|key| (format!("all/{}", key * (1 + number % 3)), number)).collect()
}

pub(crate) fn the_whole_is_read_and_replaced_as_a_map(store: &Sync) -> Outcome {
    store.set("other", &1)?;
    store.set("p/gone", &2)?;
    let map = BTreeMap::from([("p/a".to_owned(), 3), ("p/b".to_owned(), 4)]);
    store.replace_all("p/", &map)?;
    same!(store.read_all::<i32>("p/")?, map);
    same!(store.keys("")?.collect::<Vec<_>>(), ["other", "p/a", "p/b"]);
    let mut copy = store.read_all::<i32>("p/")?;
    copy.insert("p/c".to_owned(), 5);
    check!(!store.contains("p/c")?, "a copy is still attached");
    store.replace_all("", &copy)?;
    same!(store.read_all::<i32>("")?, copy);
    Ok(())
}

pub(crate) fn a_replacement_outside_its_prefix_is_refused(store: &Sync) -> Outcome {
    store.set("p/a", &1)?;
    refused!(Invalid, store.replace_all("p/", &BTreeMap::from([("q".to_owned(), 1)])));
    refused!(Invalid, store.replace_all("", &BTreeMap::from([(String::new(), 1)])));
    same!(store.read_all::<i32>("")?, BTreeMap::from([("p/a".to_owned(), 1)]));
    Ok(())
}

pub(crate) fn a_copy_of_the_whole_is_of_one_moment(store: &Sync) -> Outcome {
    store.replace_all("all/", &generation(0))?;
    let done = AtomicBool::new(false);
    together(3, |number| -> Outcome {
        if number == 0 {
            let written = (1..200).try_for_each(|number| store.replace_all("all/", &generation(number)));
            done.store(true, Ordering::SeqCst);
            return Ok(written?);
        }
        while !done.load(Ordering::SeqCst) {
            let copy = store.read_all::<u32>("all/")?;
            let number = copy.values().next().copied().unwrap_or(u32::MAX);
            same!(copy, generation(number));
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn writes_of_many_threads_meet_in_one_map(store: &Sync) -> Outcome {
    together(20, |number| -> Outcome {
        let own = store.namespace(&format!("{number}"));
        for key in 0..50 {
            own.set(&format!("{key}"), &(number * 1_000 + key))?;
        }
        same!(own.len()?, 50);
        Ok(())
    })?;
    let all = store.read_all::<usize>("")?;
    same!(all.len(), 1_000);
    for (key, value) in all {
        same!(key, format!("{}/{}", value / 1_000, value % 1_000));
    }
    Ok(())
}
