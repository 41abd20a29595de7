//! Opening, sharing and destroying.

use shmsync::{ErrorKind, Sync};

use crate::kind;

#[test]
fn named_memory_is_shared_and_unnamed_is_not() {
    let (a, b) = (Sync::open("memory:shared").unwrap(), Sync::open("memory:shared").unwrap());
    a.set("k", &1).unwrap();
    assert_eq!(b.get::<i64>("k").unwrap(), Some(1));
    let (c, d) = (Sync::open("memory:").unwrap(), Sync::open("memory:").unwrap());
    c.set("k", &1).unwrap();
    assert_eq!(d.get::<i64>("k").unwrap(), None);
    assert_eq!(c.clone().get::<i64>("k").unwrap(), Some(1));
}

#[test]
fn what_is_not_to_be_created_is_not() {
    assert_eq!(kind(Sync::options().create(false).open("memory:nowhere")), ErrorKind::NoStore);
    assert_eq!(kind(Sync::options().read_only(true).open("memory:nowhere")), ErrorKind::NoStore);
    let _store = Sync::open("memory:nowhere").unwrap();
    assert!(Sync::options().create(false).open("memory:nowhere").is_ok());
}

#[test]
fn a_read_only_handle_reads_and_changes_nothing() {
    let writer = Sync::open("memory:read-only").unwrap();
    writer.set("k", &1).unwrap();
    let reader = Sync::options().read_only(true).open("memory:read-only").unwrap();
    assert_eq!(reader.get::<i64>("k").unwrap(), Some(1));
    assert_eq!(reader.get_or_insert_with("k", || 2).unwrap(), 1);
    assert_eq!(reader.integer("k").refresh().unwrap(), 1);
    assert_eq!(reader.transaction(|tx| tx.get::<i64>("k")).unwrap(), Some(1));
    let refused = [
        kind(reader.set("k", &2)),
        kind(reader.set_encoded("k", &[2])),
        kind(reader.remove("k")),
        kind(reader.clear()),
        kind(reader.integer("k").increment(1)),
        kind(reader.integer("k").set(1)),
        kind(reader.compare_and_set("k", None, &2)),
        kind(reader.update("k", |n: Option<i64>| n)),
        kind(reader.update_each("", |_, n: i64| Some(n))),
        kind(reader.replace_all("", &[("k".to_owned(), 2)].into())),
        kind(reader.transaction(|tx| tx.set("k", &2))),
        kind(reader.get_or_insert_with("absent", || 2)),
        kind(reader.exclusive()),
        kind(reader.force_open()),
        kind(reader.destroy()),
    ];
    assert!(refused.iter().all(|kind| *kind == ErrorKind::Permission), "{refused:?}");
    assert_eq!(writer.get::<i64>("k").unwrap(), Some(1));
}

#[test]
fn a_destroyed_store_is_gone_and_a_new_one_goes_on_above_it() {
    let old = Sync::open("memory:destroyed").unwrap();
    let watch = old.watch("k").unwrap();
    let revision = old.set("k", &1).unwrap();
    old.destroy().unwrap();
    assert_eq!(kind(old.get::<i64>("k")), ErrorKind::Gone);
    assert_eq!(kind(old.destroy()), ErrorKind::Gone);
    let told: Vec<_> = watch.collect();
    assert_eq!(told.len(), 1, "it is told once, then the watch ends");
    let new = Sync::open("memory:destroyed").unwrap();
    assert_eq!(new.get::<i64>("k").unwrap(), None);
    assert!(new.set("k", &2).unwrap() > revision);
    assert_eq!(kind(old.set("k", &3)), ErrorKind::Gone);
}

#[test]
fn those_who_take_part_are_listed_with_their_label() {
    let a = Sync::options().label("import").open("memory:participants").unwrap();
    let b = Sync::options().label("export").open("memory:participants").unwrap();
    let labels = |store: &Sync| {
        let participants = store.participants().unwrap().into_iter();
        participants.map(|participant| participant.label).collect::<Vec<_>>()
    };
    assert_eq!(labels(&a), ["import", "export"]);
    b.close().unwrap();
    assert_eq!(labels(&a), ["import"]);
    assert_eq!(a.participants().unwrap()[0].to_string(), format!("pid {} (import)", std::process::id()));
    assert_eq!(a.stats().unwrap().participants, 1);
}

#[test]
fn figures_count_what_users_stored() {
    let store = crate::store();
    store.set("a", &1).unwrap();
    store.integer("b").increment(1).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.driver, stats.entries), ("memory", 2));
    let verification = store.verify().unwrap();
    assert_eq!((verification.records, verification.problems.len()), (2, 0));
    store.flush().unwrap();
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_damaged_store_can_be_destroyed_and_a_strangers_file_cannot() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let (damaged, foreign) = (folder.path().join("damaged"), folder.path().join("foreign"));
    Sync::open(&damaged).unwrap().set("k", &1).unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[24..48].fill(0xff);
    std::fs::write(&damaged, bytes).unwrap();
    std::fs::write(&foreign, "a diary").unwrap();
    assert_eq!(kind(Sync::open(&damaged)), ErrorKind::Corrupt);
    Sync::options().destroy(&damaged).unwrap();
    assert_eq!(kind(Sync::options().destroy(&damaged)), ErrorKind::NoStore);
    assert_eq!(kind(Sync::options().destroy(&foreign)), ErrorKind::NotAStore);
    assert_eq!(std::fs::read(&foreign).unwrap(), b"a diary");
    assert!(!damaged.exists(), "destroying creates nothing");
    assert_eq!(kind(Sync::options().destroy("memory:")), ErrorKind::NoStore);
    assert_eq!(kind(Sync::options().destroy("memory:never-opened")), ErrorKind::NoStore);
}
