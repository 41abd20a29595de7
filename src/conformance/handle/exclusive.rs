//! The whole store for one.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Sync,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, meanwhile, together},
    },
};

pub(crate) fn exclusive_access_makes_others_wait(store: &Sync) -> Outcome {
    store.set("n", &1)?;
    let hold = || -> Outcome {
        let exclusive = store.exclusive()?;
        thread::sleep(SHORT);
        exclusive.set("n", &2)?;
        thread::sleep(SHORT);
        exclusive.namespace("inside").set("n", &3)?;
        Ok(())
    };
    let look = || -> Outcome<bool> {
        // Seen is the state before the first write inside or after the last one.
        let half =
            || -> Outcome<bool> { Ok((store.get::<i32>("n")?, store.get::<i32>("inside/n")?) == (Some(2), None)) };
        let begun = Instant::now();
        while begun.elapsed() < 4 * SHORT {
            if half()? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let ((), half) = meanwhile(hold, look)?;
    check!(!half, "somebody looks into exclusive access");
    same!(store.get::<i32>("inside/n")?, Some(3));
    Ok(())
}

pub(crate) fn eight_who_read_and_write_under_it_lose_nothing(store: &Sync) -> Outcome {
    together(8, |_| -> Outcome {
        for _ in 0..100 {
            let exclusive = store.exclusive()?;
            let n = exclusive.get_or("n", 0)?;
            exclusive.set("n", &(n + 1))?;
        }
        Ok(())
    })?;
    same!(store.get::<i32>("n")?, Some(800));
    Ok(())
}

pub(crate) fn waiting_for_exclusive_access_has_a_limit(store: &Sync) -> Outcome {
    let exclusive = store.exclusive()?;
    let wait = || -> Outcome {
        check!(store.try_exclusive()?.is_none());
        let begun = Instant::now();
        refused!(Timeout, store.exclusive_timeout(SHORT));
        check!(begun.elapsed() >= SHORT, "it gives up after {:?}", begun.elapsed());
        refused!(Timeout, store.exclusive_timeout(Duration::ZERO));
        refused!(Timeout, store.exclusive_deadline(Instant::now()));
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    // Whoever gave up leaves nothing behind: this one opens at once, and the next gets it.
    drop(exclusive);
    store.set("n", &1)?;
    drop(store.exclusive_timeout(LONG)?);
    check!(store.try_exclusive()?.is_some());
    Ok(())
}

pub(crate) fn the_same_thread_is_told_of_its_deadlock(store: &Sync) -> Outcome {
    let exclusive = store.exclusive()?;
    refused!(Deadlock, store.get::<i32>("n"));
    refused!(Deadlock, store.set("n", &1));
    refused!(Deadlock, store.exclusive());
    refused!(Deadlock, exclusive.exclusive());
    exclusive.set("n", &2)?;
    drop(exclusive);
    same!(store.get::<i32>("n")?, Some(2));
    Ok(())
}

pub(crate) fn who_is_forced_out_is_told_at_the_next_write(store: &Sync) -> Outcome {
    check!(!store.force_open()?);
    let exclusive = store.exclusive()?;
    let force = || -> Outcome {
        check!(store.force_open()?);
        check!(!store.force_open()?);
        store.set("n", &1)?;
        Ok(())
    };
    meanwhile(|| Ok(()), force)?;
    refused!(Lost, exclusive.set("n", &2));
    refused!(Lost, exclusive.integer("n").increment(1));
    refused!(Lost, exclusive.transaction(|tx| tx.set("n", &2)));
    drop(exclusive);
    same!(store.get::<i32>("n")?, Some(1));
    store.try_exclusive()?.ok_or_else(|| Failure::new("forcing leaves the gate closed"))?.set("n", &3)?;
    same!(store.get::<i32>("n")?, Some(3));
    Ok(())
}

pub(crate) fn everything_works_inside(store: &Sync) -> Outcome {
    let exclusive = store.exclusive()?;
    exclusive.set("a", &1)?;
    same!(exclusive.integer("a").increment(1)?, 2);
    exclusive.update("a", |n: Option<i32>| n.map(|n| n + 1))?;
    exclusive.transaction(|tx| tx.increment("a", 1).map(drop))?;
    same!(exclusive.read_all::<i32>("")?.get("a"), Some(&4));
    same!(exclusive.keys("")?.count(), 1);
    same!(exclusive.update_each("", |_, n: i32| Some(n + 1))?, 1);
    same!(exclusive.watch("a")?.next_timeout(LONG)?.map(|change| change.initial), Some(true));
    same!(exclusive.get_or_insert_with("made", || 7)?, 7);
    check!(exclusive.remove("made")?);
    exclusive.clear()?;
    drop(exclusive);
    same!(store.len()?, 0);
    Ok(())
}
