//! Being told of changes.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Change, ChangeKind, Lifetime, Removed, Sync, Watch,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, meanwhile},
    },
};

fn next(watch: &mut Watch) -> Outcome<Change> {
    watch.next_timeout(LONG)?.ok_or_else(|| Failure::new("nobody tells of a change"))
}

fn expect_value(watch: &mut Watch, initial: bool, number: i64) -> Outcome {
    let change = next(watch)?;
    same!((change.value::<i64>()?, change.initial), (Some(number), initial));
    Ok(())
}

pub(crate) fn a_watch_begins_with_the_state_and_goes_on_with_changes(store: &Sync) -> Outcome {
    let written = store.set("k", &1)?;
    let mut watch = store.watch("k")?;
    let first = next(&mut watch)?;
    same!((first.key.as_str(), first.revision, first.initial), ("k", written, true));
    same!(first.value::<i64>()?, Some(1));
    same!(watch.next_timeout(SHORT)?, None);
    store.set("other", &9)?;
    let changed = store.set("k", &2)?;
    let second = next(&mut watch)?;
    same!((second.revision, second.initial, second.value::<i64>()?), (changed, false, Some(2)));
    store.integer("k").increment(1)?;
    expect_value(&mut watch, false, 3)?;
    store.remove("k")?;
    same!(next(&mut watch)?.kind, ChangeKind::Removed(Removed::Deleted));
    store.set("k", &4)?;
    expect_value(&mut watch, false, 4)?;
    same!(watch.next_timeout(Duration::ZERO)?, None);
    Ok(())
}

pub(crate) fn a_watch_of_what_is_missing_begins_with_its_creation(store: &Sync) -> Outcome {
    let mut watch = store.watch("new")?;
    same!(watch.next_timeout(SHORT)?, None);
    store.set("new", &1)?;
    expect_value(&mut watch, false, 1)
}

pub(crate) fn changes_are_coalesced_but_the_last_is_told(store: &Sync) -> Outcome {
    let mut watch = store.watch("k")?;
    for number in 1..=1_000 {
        store.set("k", &number)?;
    }
    let mut told = 0;
    loop {
        let change = next(&mut watch)?;
        told += 1;
        if change.value::<i64>()? == Some(1_000) {
            break;
        }
    }
    check!(told <= 1_000);
    same!(watch.next_timeout(SHORT)?, None);
    Ok(())
}

pub(crate) fn several_keys_are_watched_together(store: &Sync) -> Outcome {
    store.set("b", &0)?;
    let mut watch = store.watch_keys(&["a", "b", "c"])?;
    same!(next(&mut watch)?.key, "b");
    for (key, number) in [("c", 1), ("a", 2), ("b", 3), ("b", 4)] {
        let tell = || -> Outcome {
            thread::sleep(Duration::from_millis(20));
            store.set(key, &number)?;
            Ok(())
        };
        let (change, ()) = meanwhile(|| next(&mut watch), tell)?;
        same!((change.key.as_str(), change.value::<i64>()?), (key, Some(number)));
    }
    Ok(())
}

pub(crate) fn an_expiry_is_told_as_one(store: &Sync) -> Outcome {
    store.set_with("short", &1, Lifetime::Ttl(Duration::from_millis(200)))?;
    store.set_with("p/short", &1, Lifetime::Ttl(Duration::from_millis(200)))?;
    let (mut watch, mut below) = (store.watch("short")?, store.watch_prefix("p/")?);
    expect_value(&mut watch, true, 1)?;
    expect_value(&mut below, true, 1)?;
    same!(next(&mut watch)?.kind, ChangeKind::Removed(Removed::Expired));
    let change = next(&mut below)?;
    same!((change.key.as_str(), change.kind), ("p/short", ChangeKind::Removed(Removed::Expired)));
    Ok(())
}

pub(crate) fn a_prefix_is_watched_with_all_its_keys(store: &Sync) -> Outcome {
    store.set("p/1", &1)?;
    store.set("p/2", &2)?;
    store.set("q", &9)?;
    let mut watch = store.watch_prefix("p/")?;
    let mut first = BTreeMap::new();
    for _ in 0..2 {
        let change = next(&mut watch)?;
        check!(change.initial, "{change:?} is not marked as the beginning");
        first.insert(change.key.clone(), change.value::<i64>()?);
    }
    same!(first, BTreeMap::from([("p/1".to_owned(), Some(1)), ("p/2".to_owned(), Some(2))]));
    store.set("p/3", &3)?;
    expect_value(&mut watch, false, 3)?;
    store.set("q", &10)?;
    store.remove("p/1")?;
    let change = next(&mut watch)?;
    same!((change.key.as_str(), change.kind), ("p/1", ChangeKind::Removed(Removed::Deleted)));
    store.replace_all("p/", &BTreeMap::from([("p/2".to_owned(), 20)]))?;
    let mut last = BTreeMap::new();
    for _ in 0..2 {
        let change = next(&mut watch)?;
        last.insert(change.key.clone(), change.value::<i64>()?);
    }
    same!(last, BTreeMap::from([("p/2".to_owned(), Some(20)), ("p/3".to_owned(), None)]));
    same!(watch.next_timeout(SHORT)?, None);
    Ok(())
}

pub(crate) fn a_watch_can_be_stopped_from_elsewhere(store: &Sync) -> Outcome {
    for mut watch in [store.watch("never")?, store.watch_prefix("never")?] {
        let stop = watch.stop_handle();
        let begun = Instant::now();
        let stopping = || {
            thread::sleep(SHORT);
            stop.stop();
            Ok(())
        };
        let (end, ()) = meanwhile(|| Ok(watch.next().is_none()), stopping)?;
        check!(end && begun.elapsed() < LONG / 2, "a stopped watch goes on");
        refused!(Stopped, watch.next_timeout(LONG));
    }
    Ok(())
}

pub(crate) fn a_watcher_in_another_thread_misses_no_last_state(store: &Sync) -> Outcome {
    let mut watch = store.watch_prefix("p/")?;
    let write = || -> Outcome {
        for number in 0..600_i64 {
            store.set(&format!("p/{}", number % 6), &number)?;
        }
        Ok(())
    };
    let follow = || -> Outcome {
        let mut state = BTreeMap::new();
        while state.values().sum::<i64>() != (594..600).sum::<i64>() {
            let change = next(&mut watch)?;
            state.insert(change.key.clone(), change.value::<i64>()?.unwrap_or(0));
        }
        Ok(())
    };
    meanwhile(follow, write)?;
    Ok(())
}
