//! Several keys at once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    Error, ErrorKind, Lifetime, Result, Sync,
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::{Dice, becomes_true, together},
    },
    driver::MAX_OPERATIONS,
};

/// An error type of a user's own.
#[derive(Debug)]
enum Mine {
    TooPoor,
    Store(ErrorKind),
}

impl From<Error> for Mine {
    fn from(error: Error) -> Self {
        Self::Store(error.kind())
    }
}

pub(crate) fn a_transaction_writes_all_it_says(store: &Sync) -> Outcome {
    store.set("old", &1)?;
    let answer = store.transaction(|tx| {
        tx.set("text", "t")?;
        tx.increment("n", 2)?;
        tx.remove("old")?;
        tx.set_with("short", &1, Lifetime::Ttl(Duration::from_millis(50)))?;
        Ok("answer")
    })?;
    same!(answer, "answer");
    same!(store.get::<String>("text")?.as_deref(), Some("t"));
    same!(store.integer("n").refresh()?, 2);
    check!(!store.contains("old")?);
    check!(becomes_true(|| Ok(store.len()? == 2))?, "a lifetime in a transaction is forgotten");
    Ok(())
}

pub(crate) fn a_transaction_sees_its_own_writes(store: &Sync) -> Outcome {
    store.set("a", &1)?;
    store.transaction(|tx| {
        assert_eq!(tx.get::<i32>("a")?, Some(1));
        tx.set("a", &2)?;
        assert_eq!(tx.get::<i32>("a")?, Some(2));
        assert_eq!(tx.increment("a", 3)?, 5);
        assert!(tx.remove("a")?);
        assert!(!tx.contains("a")? && !tx.remove("a")?);
        assert_eq!(tx.get::<i32>("a")?, None);
        assert_eq!(tx.increment("a", 1)?, 1);
        tx.set("null", &None::<u8>)?;
        assert!(!tx.contains("null")?);
        Ok(())
    })?;
    same!(store.get::<i32>("a")?, Some(1));
    same!(store.len()?, 2);
    Ok(())
}

pub(crate) fn a_transaction_that_fails_or_panics_changes_nothing(store: &Sync) -> Outcome {
    let before = store.set("a", &10)?;
    let poor = store.try_transaction(|tx| -> std::result::Result<(), Mine> {
        tx.set("b", &1)?;
        if tx.increment("a", -20)? < 0 { Err(Mine::TooPoor) } else { Ok(()) }
    });
    check!(matches!(poor, Err(Mine::TooPoor)), "{poor:?}");
    let failed = store.try_transaction(|tx| -> std::result::Result<(), Mine> {
        tx.set("b", &1)?;
        tx.set("c", "text")?;
        Ok(tx.increment("c", 1).map(drop)?)
    });
    check!(matches!(failed, Err(Mine::Store(ErrorKind::TypeMismatch))), "{failed:?}");
    let panicking = || {
        store.transaction(|tx| -> Result<()> {
            tx.set("b", &1)?;
            std::panic::resume_unwind(Box::new("on purpose"))
        })
    };
    check!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    same!(store.get_versioned::<i32>("a")?, Some((10, before)));
    same!(store.len()?, 1);
    Ok(())
}

pub(crate) fn a_transaction_has_a_largest_size(store: &Sync) -> Outcome {
    let write = |count: usize| {
        store.transaction(|tx| (0..count).try_for_each(|number| tx.set(&format!("key {number}"), &number)))
    };
    refused!(TooLarge, write(MAX_OPERATIONS + 1));
    same!(store.len()?, 0);
    write(MAX_OPERATIONS)?;
    same!(store.len()?, MAX_OPERATIONS);
    // Writing one key again and again is one operation.
    store.transaction(|tx| (0..2 * MAX_OPERATIONS).try_for_each(|number| tx.set("one", &number)))?;
    same!(store.get::<usize>("one")?, Some(2 * MAX_OPERATIONS - 1));
    Ok(())
}

pub(crate) fn transfers_keep_the_sum_at_every_moment(store: &Sync) -> Outcome {
    for account in 0..5 {
        store.set(&format!("account/{account}"), &100_i64)?;
    }
    let busy = AtomicUsize::new(4);
    together(6, |number| -> Outcome {
        if number < 4 {
            let mut dice = Dice::new(number as u64);
            let result = (0..150).try_for_each(|_| {
                let (from, to) = (format!("account/{}", dice.below(5)), format!("account/{}", dice.below(5)));
                store.transaction(|tx| {
                    let rich = tx.get::<i64>(&from)?.unwrap_or(0);
                    tx.set(&from, &(rich - 1))?;
                    tx.increment(&to, 1)
                })?;
                Ok(())
            });
            busy.fetch_sub(1, Ordering::SeqCst);
            return result;
        }
        while busy.load(Ordering::SeqCst) > 0 {
            same!(store.read_all::<i64>("account/")?.values().sum::<i64>(), 500);
            let sum = store.transaction(|tx| {
                let read = |account| tx.get::<i64>(&format!("account/{account}"));
                Ok((0..5).map(read).collect::<Result<Vec<_>>>()?.into_iter().flatten().sum::<i64>())
            })?;
            same!(sum, 500);
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn a_closure_never_sees_half_of_a_transaction(store: &Sync) -> Outcome {
    let pair = |number: i64| {
        store.transaction(|tx| {
            tx.set("first", &number)?;
            tx.set("second", &-number)
        })
    };
    pair(0)?;
    let busy = AtomicUsize::new(1);
    together(3, |number| -> Outcome {
        if number == 0 {
            let written = (1..600).try_for_each(pair);
            busy.store(0, Ordering::SeqCst);
            return Ok(written?);
        }
        while busy.load(Ordering::SeqCst) > 0 {
            // What it sees inside must hold together already, not only what it commits.
            let mut seen = (0, 0);
            store.transaction(|tx| {
                let first = tx.get::<i64>("first")?.unwrap_or(0);
                let second = tx.get::<i64>("second")?.unwrap_or(0);
                if first + second != 0 {
                    seen = (first, second);
                }
                Ok(())
            })?;
            same!(seen, (0, 0));
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn of_two_transactions_that_read_each_others_keys_one_sees_the_other(store: &Sync) -> Outcome {
    for round in 0..100 {
        let (left, right) = (format!("left {round}"), format!("right {round}"));
        // Each takes its own seat only while the other is empty.
        let taken = together(2, |number| {
            let (mine, theirs) = if number == 0 { (&left, &right) } else { (&right, &left) };
            Ok(store.transaction(|tx| {
                let free = !tx.contains(theirs)?;
                if free {
                    tx.set(mine, &true)?;
                }
                Ok(free)
            })?)
        })?;
        check!(taken[0] != taken[1], "round {round}: both or neither took a seat");
    }
    Ok(())
}
