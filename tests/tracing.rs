//! What listeners are told: one event for each rare moment, with key or pid and how long it took.
#![cfg(feature = "tracing")]

mod common;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{LONG, Place, fork};
use shmsync::{ErrorKind, Sync};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Fields of the events of each target.
static HEARD: Mutex<BTreeMap<String, BTreeMap<String, String>>> = Mutex::new(BTreeMap::new());

struct Listener;

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("shmsync::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        HEARD.lock().unwrap().insert(event.metadata().target().to_owned(), fields.0);
    }
}

fn heard(target: &str) -> Option<BTreeMap<String, String>> {
    HEARD.lock().unwrap().get(target).cloned()
}

#[test]
fn listeners_are_told_of_rare_moments() {
    tracing::subscriber::set_global_default(Listener).expect("the only listener");
    let place = Place::new();
    let store = Sync::options().capacity(1 << 20).open(place.path()).unwrap();
    assert_eq!(heard("shmsync::attach").expect("an attachment")["pid"], std::process::id().to_string());

    let error = (0..).find_map(|n| store.set_bytes(&format!("k{n}"), &[0; 10_000]).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(heard("shmsync::grow").expect("growth").contains_key("took_ns"));
    assert!(heard("shmsync::full").expect("a full store")["key"].contains('k'));
    store.clear().unwrap();

    // Killed in the middle of a change sooner or later, by whom is told.
    let end = Instant::now() + LONG;
    let mut killed = Vec::new();
    while heard("shmsync::recover").is_none_or(|fields| fields["pid"] == "0") && Instant::now() < end {
        let writer = fork(|| {
            loop {
                store.set_bytes("busy", &[1; 3_000]).unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(5));
        killed.push(writer.pid().to_string());
        drop(writer);
        store.set("busy", &1).unwrap();
    }
    let recovered = heard("shmsync::recover").expect("a recovery");
    assert!(killed.contains(&recovered["pid"]) && recovered.contains_key("took_ns"), "{recovered:?}");

    let holder = fork(|| {
        std::mem::forget(store.exclusive().unwrap());
        loop {
            std::thread::park();
        }
    });
    common::until("the store is held", || store.try_exclusive().unwrap().is_none());
    let pid = holder.pid().to_string();
    drop(holder);
    store.set("after", &1).unwrap();
    assert_eq!(heard("shmsync::owner_died").expect("a death")["pid"], pid);
    common::assert_sound(&store);
}
