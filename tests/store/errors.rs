//! One way to provoke each kind of error that a store over process memory can have.

use std::{thread, time::Duration};

use shmsync::{Error, ErrorKind, Lifetime, Sync};

use crate::{kind, store};

#[test]
fn invalid_is_a_bad_name_key_or_value() {
    let store = store();
    assert_eq!(kind(Sync::open("")), ErrorKind::Invalid);
    assert_eq!(kind(store.set("", &1)), ErrorKind::Invalid);
    assert_eq!(kind(store.set(&"k".repeat(65_537), &1)), ErrorKind::Invalid);
    assert_eq!(kind(store.namespace("n").set(&"k".repeat(65_535), &1)), ErrorKind::Invalid);
    assert_eq!(kind(store.set_with("k", &1, Lifetime::Ttl(Duration::ZERO))), ErrorKind::Invalid);
    assert_eq!(kind(store.set_encoded("k", &[])), ErrorKind::Invalid);
}

#[test]
fn no_store_is_one_that_was_not_to_be_created() {
    let error = Sync::options().create(false).open("memory:missing").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoStore);
    assert!(error.to_string().contains("missing"));
}

#[test]
fn permission_is_a_change_through_a_read_only_handle() {
    let _store = Sync::open("memory:permission").unwrap();
    let reader = Sync::options().read_only(true).open("memory:permission").unwrap();
    assert_eq!(kind(reader.set("k", &1)), ErrorKind::Permission);
}

#[cfg(not(feature = "etcd"))]
#[test]
fn unsupported_is_a_driver_that_was_not_built_in() {
    let error = Sync::open("etcd://localhost:2379/x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("etcd"));
}

#[test]
fn too_large_is_a_transaction_beyond_its_limit() {
    let store = store();
    let large = store.transaction(|tx| (0..1_025).try_for_each(|n| tx.set(&n.to_string(), &n)));
    assert_eq!(kind(large), ErrorKind::TooLarge);
}

#[test]
fn type_mismatch_names_the_key_and_both_types() {
    let store = store();
    store.set("name", "Ada").unwrap();
    let error = store.get::<u32>("name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    let message = error.to_string();
    assert!(message.contains("name") && message.contains("a string") && message.contains("u32"), "{message}");
}

#[test]
fn absent_and_overflow_are_about_integers() {
    let store = store();
    assert_eq!(kind(store.integer("n").refresh()), ErrorKind::Absent);
    store.integer("n").set(i64::MAX).unwrap();
    assert_eq!(kind(store.integer("n").increment(1)), ErrorKind::Overflow);
}

#[test]
fn locked_timeout_deadlock_and_lost_are_about_exclusive_access() {
    let store = Sync::options().access_limit(Duration::ZERO).open("memory:").unwrap();
    let exclusive = store.exclusive().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(kind(store.get::<i64>("k")), ErrorKind::Locked);
            assert_eq!(kind(store.exclusive_timeout(Duration::ZERO)), ErrorKind::Timeout);
        });
    });
    assert_eq!(kind(store.get::<i64>("k")), ErrorKind::Deadlock);
    assert!(store.force_open().unwrap());
    assert_eq!(kind(exclusive.set("k", &1)), ErrorKind::Lost);
}

#[test]
fn timeout_deadlock_mismatch_and_lost_are_about_locks_too() {
    let store = Sync::open("memory:").unwrap();
    let guard = store.lock("k").unwrap().ttl(Duration::from_secs(60)).acquire().unwrap();
    assert_eq!(kind(store.lock("k").unwrap().acquire()), ErrorKind::Deadlock);
    let elsewhere = || kind(store.lock("k").unwrap().acquire_timeout(Duration::from_millis(1)));
    assert_eq!(std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap()), ErrorKind::Timeout);
    assert!(store.lock("k").unwrap().force_release().unwrap());
    assert_eq!(kind(guard.extend(Duration::from_secs(60))), ErrorKind::Lost);
    drop(store.semaphore("s", 2).unwrap().acquire().unwrap());
    assert_eq!(kind(store.semaphore("s", 3)), ErrorKind::Mismatch);
    assert_eq!(kind("no number".parse::<shmsync::Token>()), ErrorKind::Invalid);
}

#[test]
fn conflict_is_told_to_a_closure_that_was_overtaken() {
    let store = store();
    let mut told = None;
    store
        .transaction(|tx| {
            tx.get::<i64>("a")?;
            if told.is_none() {
                store.set("a", &1).unwrap();
                told = Some(kind(tx.get::<i64>("b")));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(told, Some(ErrorKind::Conflict));
}

#[test]
fn gone_is_a_store_destroyed_under_its_users() {
    let store = store();
    store.clone().destroy().unwrap();
    assert_eq!(kind(store.set("k", &1)), ErrorKind::Gone);
}

#[test]
fn stopped_is_a_watch_that_was_stopped() {
    let mut watch = store().watch("k").unwrap();
    watch.stop_handle().stop();
    assert_eq!(kind(watch.next_timeout(Duration::from_secs(20))), ErrorKind::Stopped);
}

#[test]
fn every_kind_has_its_line_in_the_documentation() {
    let documented = include_str!("../../docs/errors.md");
    // `ErrorKind` is numbered from 1; its names are taken from its own `Debug`.
    let kinds = [
        ErrorKind::Invalid,
        ErrorKind::NoStore,
        ErrorKind::NotAStore,
        ErrorKind::Version,
        ErrorKind::Corrupt,
        ErrorKind::Permission,
        ErrorKind::Unsupported,
        ErrorKind::Full,
        ErrorKind::TooLarge,
        ErrorKind::TypeMismatch,
        ErrorKind::Absent,
        ErrorKind::Overflow,
        ErrorKind::Locked,
        ErrorKind::Timeout,
        ErrorKind::Deadlock,
        ErrorKind::Conflict,
        ErrorKind::NotOwner,
        ErrorKind::Lost,
        ErrorKind::Mismatch,
        ErrorKind::Lapped,
        ErrorKind::Gone,
        ErrorKind::Stopped,
        ErrorKind::Unreachable,
        ErrorKind::Io,
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        assert_eq!(usize::from(kind.number()), index + 1);
        assert!(documented.contains(&format!("| {} | `{kind:?}` |", index + 1)), "{kind:?}");
    }
}

#[test]
fn an_error_carries_what_caused_it() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a broken value"))
        }
    }
    let error = store().set("k", &Broken).unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.to_string().contains("a broken value"));
    assert!(Error::new(ErrorKind::Io, "x").context("y").to_string().starts_with("y: x"));
}
