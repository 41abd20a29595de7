//! Random operations against a plain map: the store and the model answer alike, always.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use shmsync::{Revision, Sync};

/// What a user may do.
#[derive(Debug, Clone)]
enum Action {
    Set(String, i64),
    CompareAndSet(String, i64),
    Remove(String),
    Increment(String, i64),
    Update(String, i64),
    Transfer(String, String, i64),
    ReplaceAll(String, Vec<(String, i64)>),
    UpdateEach(String),
    Clear,
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{1,2}", 1 => "[a-c]/[x-z]", 1 => "\\PC{1,20}", 1 => Just("k".repeat(300))]
}

fn action() -> impl Strategy<Value = Action> {
    let number = -1_000..1_000_i64;
    prop_oneof![
        (key(), number.clone()).prop_map(|(key, n)| Action::Set(key, n)),
        (key(), number.clone()).prop_map(|(key, n)| Action::CompareAndSet(key, n)),
        key().prop_map(Action::Remove),
        (key(), number.clone()).prop_map(|(key, n)| Action::Increment(key, n)),
        (key(), number.clone()).prop_map(|(key, n)| Action::Update(key, n)),
        (key(), key(), number.clone()).prop_map(|(from, to, n)| Action::Transfer(from, to, n)),
        ("[ab]?", vec((key(), number), 0..5)).prop_map(|(prefix, map)| Action::ReplaceAll(prefix, map)),
        "[ab]?".prop_map(Action::UpdateEach),
        Just(Action::Clear),
    ]
}

type Model = BTreeMap<String, i64>;

/// Does it to both and compares the answers.
fn apply(store: &Sync, model: &mut Model, action: Action) {
    match action {
        Action::Set(key, n) => {
            store.set(&key, &n).unwrap();
            model.insert(key, n);
        }
        Action::CompareAndSet(key, n) => {
            let seen = store.get_versioned::<i64>(&key).unwrap();
            assert_eq!(seen.map(|(n, _)| n), model.get(&key).copied());
            assert!(store.compare_and_set(&key, Revision::new(1), &n).unwrap().is_err());
            assert!(store.compare_and_set(&key, seen.map(|(_, revision)| revision), &n).unwrap().is_ok());
            model.insert(key, n);
        }
        Action::Remove(key) => assert_eq!(store.remove(&key).unwrap(), model.remove(&key).is_some()),
        Action::Increment(key, n) => {
            let sum = model.get(&key).copied().unwrap_or(0) + n;
            assert_eq!(store.integer(&key).increment(n).unwrap(), sum);
            model.insert(key, sum);
        }
        Action::Update(key, n) => {
            // Even numbers go, odd ones and new ones change.
            let f = |old: Option<i64>| if old.is_some_and(|old| old % 2 == 0) { None } else { Some(n) };
            let new = f(model.get(&key).copied());
            assert_eq!(store.update(&key, f).unwrap(), new);
            match new {
                Some(new) => model.insert(key, new),
                None => model.remove(&key),
            };
        }
        Action::Transfer(from, to, n) => {
            let moved = store.transaction(|tx| Ok((tx.increment(&from, -n)?, tx.increment(&to, n)?)));
            *model.entry(from.clone()).or_default() -= n;
            let taken = model[&from];
            *model.entry(to.clone()).or_default() += n;
            assert_eq!(moved.unwrap(), (taken, model[&to]));
        }
        Action::ReplaceAll(prefix, map) => {
            let map: Model = map.into_iter().map(|(key, n)| (format!("{prefix}{key}"), n)).collect();
            store.replace_all(&prefix, &map).unwrap();
            model.retain(|key, _| !key.starts_with(&prefix));
            model.extend(map);
        }
        Action::UpdateEach(prefix) => {
            let f = |n: i64| if n > 500 { None } else { Some(n.max(0)) };
            let below: Vec<_> = model.iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
            let changed = below.iter().filter(|(_, n)| f(**n) != Some(**n)).count();
            assert_eq!(store.update_each(&prefix, |_, n| f(n)).unwrap(), changed);
            model.retain(|key, n| match f(*n) {
                _ if !key.starts_with(&prefix) => true,
                None => false,
                Some(new) => {
                    *n = new;
                    true
                }
            });
        }
        Action::Clear => {
            store.clear().unwrap();
            model.clear();
        }
    }
}

/// Every way to read says the same.
fn compare(store: &Sync, model: &Model) {
    assert_eq!(store.len().unwrap(), model.len());
    assert_eq!(&store.read_all::<i64>("").unwrap(), model);
    assert!(store.keys("").unwrap().eq(model.keys().cloned()));
    for prefix in ["a", "b/", "k"] {
        let entries: Vec<_> = store.iter::<i64>(prefix).unwrap().map(Result::unwrap).collect();
        let expected = model.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, n)| (key.clone(), *n));
        assert_eq!(entries, expected.collect::<Vec<_>>());
    }
    for (key, n) in model {
        assert_eq!(store.get::<i64>(key).unwrap(), Some(*n));
        assert!(store.contains(key).unwrap());
    }
}

/// Takes any store, so that every driver can be held against the model.
fn behaves_like_a_map(store: &Sync, actions: Vec<Action>) {
    let mut model = Model::new();
    for action in actions {
        apply(store, &mut model, action);
        compare(store, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_memory_store_behaves_like_a_map(actions in vec(action(), 0..40)) {
        behaves_like_a_map(&crate::store(), actions);
    }

    #[test]
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn a_shared_store_behaves_like_a_map(actions in vec(action(), 0..40)) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        behaves_like_a_map(&Sync::options().capacity(1 << 20).open(folder.path().join("store")).unwrap(), actions);
    }

    #[test]
    fn a_namespace_behaves_like_a_map(actions in vec(action(), 0..40)) {
        let store = crate::store();
        store.set("neighbour", &1).unwrap();
        behaves_like_a_map(&store.namespace("n"), actions);
        assert_eq!(store.get::<i64>("neighbour").unwrap(), Some(1));
    }

    #[test]
    fn no_bytes_make_decoding_do_anything_but_answer(bytes in vec(any::<u8>(), 0..64)) {
        let store = crate::store();
        if store.set_encoded("k", &bytes).is_ok() {
            // It is one value, so it can be read as any value.
            prop_assert!(store.get::<shmsync::Value>("k").unwrap().is_some());
            let _ = store.get::<Vec<String>>("k");
            let _ = store.get::<(i64, bool)>("k");
            let _ = store.get_bytes("k");
            let _ = store.integer("k").increment(1);
        }
    }
}
