//! What is wrong is told, and what to do about it; nothing is changed, nobody waits for ever.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use shmsync::{Error, ErrorKind, Lifetime, Sync};

use crate::{
    common::LONG,
    server::{Server, free_port},
};

fn refused(name: &str, kind: ErrorKind) -> String {
    let error = Sync::open(name).map(drop).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    error.to_string()
}

#[test]
fn nobody_there_is_told_within_the_limit_with_all_addresses() {
    let (one, other) = (free_port(), free_port());
    let begun = Instant::now();
    let text = refused(&format!("etcd://127.0.0.1:{one},localhost:{other}/x?connect=500ms"), ErrorKind::Unreachable);
    assert!(text.contains(&format!("127.0.0.1:{one}")) && text.contains(&format!("localhost:{other}")), "{text}");
    assert!(text.contains("check that it runs there"), "{text}");
    assert!(begun.elapsed() < LONG / 4, "it takes {:?}", begun.elapsed());
}

#[test]
fn somebody_who_never_answers_is_given_up() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    refused(&format!("etcd://{}/x?connect=500ms", mute.local_addr().unwrap()), ErrorKind::Unreachable);
    assert!(begun.elapsed() >= Duration::from_millis(400) && begun.elapsed() < LONG / 4, "{:?}", begun.elapsed());
}

#[test]
fn a_name_of_several_members_works_while_one_of_them_answers() {
    let Some(server) = Server::start() else { return };
    let name = format!("etcd://127.0.0.1:{},127.0.0.1:{}/x", free_port(), server.port);
    let store = Sync::open(name).unwrap();
    store.set("k", &1).unwrap();
    assert_eq!(Sync::open(server.name("x")).unwrap().get::<i32>("k").unwrap(), Some(1));
}

#[test]
fn wrong_passwords_are_told_without_being_shown() {
    let Some(server) = Server::start() else { return };
    server.raw(async |client| {
        let mut auth = client.auth_client();
        auth.user_add("root", "secret", None).await?;
        auth.role_add("root").await?;
        auth.user_grant_role("root", "root").await?;
        auth.auth_enable().await.map(drop)
    });
    let named = |user: &str| format!("etcd://{user}127.0.0.1:{}/x", server.port);
    let text = refused(&named("root:secret2@"), ErrorKind::Permission);
    assert!(text.contains("check user, password and role"), "{text}");
    refused(&named("nobody:secret@"), ErrorKind::Permission);
    refused(&named(""), ErrorKind::Permission);
    let store = Sync::open(named("root:secret@")).unwrap();
    store.set("k", &1).unwrap();
    assert_eq!(store.get::<i32>("k").unwrap(), Some(1));
    assert!(!format!("{store:?} {:?}", store.participants().unwrap()).contains("secret"));
}

#[test]
fn no_address_is_told_as_such() {
    for name in ["etcd://", "etcd://h", "etcd://h/", "etcd://u:secret@h//x", "etcd://h/x?secret=1", "etcds://h/x"] {
        let error = Sync::open(name).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
    }
    refused("etcds://h/x?ca=/does/not/exist", ErrorKind::Io);
}

#[test]
fn what_others_have_put_there_is_told_and_left_alone() {
    let Some(server) = Server::start() else { return };
    server.raw(async |client| {
        let mut kv = client.kv_client();
        kv.put("foreign/store", "something else", None).await?;
        kv.put("newer/store", "shmsync 2", None).await.map(drop)
    });
    refused(&server.name("foreign"), ErrorKind::NotAStore);
    refused(&server.name("newer"), ErrorKind::Version);
    let store = Sync::open(server.name("x")).unwrap();
    store.set("good", &1).unwrap();
    server.raw(async |client| client.kv_client().put("x/v/bad", "plain text", None).await.map(drop));
    let corrupt = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("x/v/bad") && error.to_string().contains("etcdctl del"), "{error}");
    };
    corrupt(store.get::<i32>("bad").map(drop));
    corrupt(store.integer("bad").increment(1).map(drop));
    corrupt(store.read_all::<i32>("").map(drop));
    assert_eq!(store.get::<i32>("good").unwrap(), Some(1));
    assert_eq!(store.verify().unwrap().problems.len(), 1);
    store.remove("bad").unwrap();
    assert!(store.verify().unwrap().problems.is_empty());
    store.set_with("good", &2, Lifetime::Process).unwrap();
}

#[test]
fn no_store_is_made_within_another_one_or_around_keys_of_others() {
    let Some(server) = Server::start() else { return };
    let inner = Sync::open(server.name("team/app/live")).unwrap();
    server.raw(async |client| {
        let mut kv = client.kv_client();
        kv.put("plain/store", "no mark", None).await?;
        kv.put("plain/app/key", "1", None).await.map(drop)
    });
    let told = |prefix: &str, who: &str| {
        let error = Sync::open(server.name(prefix)).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
        assert!(error.to_string().contains(who), "{error}");
    };
    told("team", "team/app/live/");
    told("team/app", "team/app/live/");
    told("team/app/live/v/x", "\"team/app/live\"");
    told("plain/app", "plain/app/key");
    inner.set("k", &1).unwrap();
    assert_eq!(Sync::open(server.name("team/app/live")).unwrap().get::<i32>("k").unwrap(), Some(1));
    Sync::open(server.name("team/app/lives")).unwrap();
    Sync::open(server.name("plain/other")).unwrap();
}

#[test]
fn a_missing_store_is_not_made_by_who_only_looks() {
    let Some(server) = Server::start() else { return };
    let open = || Sync::options().create(false).open(server.name("none")).map(drop);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::NoStore);
    assert_eq!(Sync::options().destroy(server.name("none")).unwrap_err().kind(), ErrorKind::NoStore);
    Sync::open(server.name("none")).unwrap().set("k", &1).unwrap();
    open().unwrap();
    Sync::options().destroy(server.name("none")).unwrap();
    assert_eq!(open().unwrap_err().kind(), ErrorKind::NoStore);
    let left = server.raw(async |client| {
        let all = etcd_client::GetOptions::new().with_prefix().with_count_only();
        Ok(client.kv_client().get("none/", Some(all)).await?.count())
    });
    assert_eq!(left, 0);
}
