//! Watches go on over whatever happens to connections and to the history of the cluster.

use std::{collections::BTreeMap, time::Duration};

use shmsync::{ChangeKind, ErrorKind, Lifetime, Removed, Sync, Watch};

use crate::{
    common::LONG,
    proxy::{Proxy, Way},
    server::{Server, answered},
};

/// The next change, as key and number; `None` where it was removed.
fn next(watch: &mut Watch) -> (String, Option<i64>) {
    let change = answered(|| watch.next_timeout(LONG)).expect("a change");
    (change.key.clone(), change.value().unwrap())
}

#[test]
fn a_compaction_hides_no_last_state() {
    let Some(server) = Server::start() else { return };
    let store = Sync::open(server.name("x")).unwrap();
    let mut watch = store.watch_prefix("p/").unwrap();
    let mut single = store.watch("p/3").unwrap();
    for round in 0..20 {
        for key in 0..5 {
            store.set(&format!("p/{key}"), &(round * 10 + key)).unwrap();
        }
        server.raw(async |client| {
            let mut kv = client.kv_client();
            let now = kv.get("x/store", None).await?.header().map_or(0, |header| header.revision());
            kv.compact(now, None).await.map(drop)
        });
    }
    let mut seen = BTreeMap::new();
    while seen.len() < 5 || seen.iter().any(|(key, value)| *value != 190 + key) {
        let change = watch.next_timeout(LONG).unwrap().expect("a change");
        let key: i32 = change.key[2..].parse().unwrap();
        seen.insert(key, change.value::<i32>().unwrap().unwrap_or(-1));
    }
    while single.next_timeout(LONG).unwrap().expect("a change").value::<i32>().unwrap() != Some(193) {}
}

#[test]
fn who_waits_goes_on_when_the_cluster_does() {
    let Some(server) = Server::start() else { return };
    let store = Sync::open(server.name("x?session=30s&timeout=500ms")).unwrap();
    store.set("k", &1).unwrap();
    let mut watch = store.watch("k").unwrap();
    assert_eq!(watch.next_timeout(LONG).unwrap().unwrap().value::<i32>().unwrap(), Some(1));
    std::thread::scope(|scope| {
        // Whoever looks just then is told so, and asks again.
        let told = scope.spawn(|| answered(|| watch.next_timeout(LONG)).expect("a change").value::<i32>().unwrap());
        server.pause();
        assert!(store.set("k", &2).is_err());
        server.resume();
        // Whether the first one was done nobody knows; this one is.
        while store.set("k", &3).is_err() {}
        let told = told.join().unwrap();
        assert!(matches!(told, Some(2 | 3)), "{told:?}");
    });
}

#[test]
fn one_change_below_a_large_prefix_costs_one_request() {
    const KEYS: i64 = 1_000;
    let Some(server) = Server::start() else { return };
    let way = Proxy::to(server.port);
    let open = |port| answered(|| Sync::open(format!("etcd://127.0.0.1:{port}/x")));
    let (store, watcher) = (open(server.port), open(way.port));
    let all: BTreeMap<String, i64> = (0..KEYS).map(|key| (format!("p/{key:05}"), key)).collect();
    store.replace_all("p/", &all).unwrap();
    let mut watch = watcher.watch_prefix("p/").unwrap();
    (0..KEYS).for_each(|key| assert_eq!(next(&mut watch), (format!("p/{key:05}"), Some(key))));
    // The first time it also begins to listen.
    store.set("p/00000", &-1).unwrap();
    assert_eq!(next(&mut watch), ("p/00000".into(), Some(-1)));
    for key in (0..KEYS).step_by(200) {
        let before = way.requests();
        store.set("elsewhere", &key).unwrap();
        store.set(&format!("p/{key:05}"), &-2).unwrap();
        assert_eq!(next(&mut watch), (format!("p/{key:05}"), Some(-2)));
        assert_eq!(way.requests() - before, 1);
    }
}

#[test]
fn a_watched_prefix_is_told_of_what_happened_while_nobody_could_be_reached() {
    let Some(server) = Server::start() else { return };
    let way = Proxy::to(server.port);
    let open = |port| answered(|| Sync::open(format!("etcd://127.0.0.1:{port}/x?session=100s&timeout=2s")));
    let (store, watcher) = (open(server.port), open(way.port));
    store.set("p/0", &0).unwrap();
    let mut watch = watcher.watch_prefix("p/").unwrap();
    assert_eq!(next(&mut watch), ("p/0".into(), Some(0)));
    assert!(watch.next_timeout(Duration::from_millis(10)).unwrap().is_none());
    for (round, fault) in [Way::Cut, Way::Swallow, Way::Deaf].into_iter().enumerate() {
        let number = round as i64 + 1;
        way.set(fault);
        std::thread::scope(|scope| {
            let told = scope.spawn(|| [next(&mut watch), next(&mut watch)]);
            store.set("p/0", &number).unwrap();
            store.remove("p/1").unwrap();
            store.set(&format!("p/new{number}"), &number).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            way.set(Way::Open);
            let told = told.join().unwrap();
            assert_eq!(told, [("p/0".into(), Some(number)), (format!("p/new{number}"), Some(number))]);
        });
    }
}

#[test]
fn a_watched_prefix_tells_of_ends_and_shows_nothing_of_an_exclusive_section() {
    let Some(server) = Server::start() else { return };
    let (store, watcher) = (Sync::open(server.name("x")).unwrap(), Sync::open(server.name("x")).unwrap());
    let mut watch = watcher.watch_prefix("p/").unwrap();
    let short = Lifetime::Ttl(Duration::from_millis(50));
    store.set_with("p/short", &1, short).unwrap();
    assert_eq!(next(&mut watch), ("p/short".into(), Some(1)));
    let change = watch.next_timeout(LONG).unwrap().expect("its end");
    assert_eq!((change.key.as_str(), &change.kind), ("p/short", &ChangeKind::Removed(Removed::Expired)));
    {
        let other = Sync::open(server.name("x?session=3s")).unwrap();
        other.set_with("p/mine", &2, Lifetime::Process).unwrap();
        assert_eq!(next(&mut watch), ("p/mine".into(), Some(2)));
    }
    let change = watch.next_timeout(LONG).unwrap().expect("its end");
    assert_eq!((change.key.as_str(), &change.kind), ("p/mine", &ChangeKind::Removed(Removed::OwnerDied)));
    let exclusive = store.exclusive().unwrap();
    exclusive.set("p/a", &1).unwrap();
    std::thread::scope(|scope| {
        let quiet = scope.spawn(|| watch.next_timeout(Duration::from_millis(300)).unwrap());
        assert!(quiet.join().unwrap().is_none());
        exclusive.set("p/a", &2).unwrap();
        drop(exclusive);
    });
    assert_eq!(next(&mut watch), ("p/a".into(), Some(2)));
    store.destroy().unwrap();
    assert_eq!(watch.next_timeout(LONG).unwrap_err().kind(), ErrorKind::Gone);
}
