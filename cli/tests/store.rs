//! Verbs about the store as a whole.

mod common;

use common::{World, json};

#[test]
fn ps_lists_who_is_attached() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    assert_eq!(world.yes(&["ps"]), "");
    let mut watch = world.start(&["watch", "k", "--label", "my watcher"]);
    watch.line();
    let table = world.yes(&["ps"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("PID") && lines[1].contains(&watch.pid().to_string()), "{table}");
    assert!(lines[1].contains("my watcher"), "{table}");
    let all = json(&world.yes(&["ps", "--json"]));
    assert_eq!((all[0]["pid"].as_u64(), &all[0]["alive"]), (Some(watch.pid().into()), &serde_json::json!(true)));
    assert!(all[0]["id"].is_string());
}

#[test]
fn info_shows_figures_in_three_forms() {
    let world = World::new();
    world.yes(&["--capacity", "8M", "--mode", "0640", "set", "k", "1"]);
    let text = world.yes(&["info"]);
    assert!(text.contains(&world.store()) && text.contains("capacity bytes   8388608"), "{text}");
    let figures = json(&world.yes(&["info", "--json"]));
    assert_eq!((&figures["entries"], &figures["mode"]), (&serde_json::json!(1), &serde_json::json!("0640")));
    let metrics = world.yes(&["info", "--format", "prometheus"]);
    for name in [
        "shmsync_info",
        "shmsync_entries",
        "shmsync_capacity_bytes",
        "shmsync_allocated_bytes",
        "shmsync_used_bytes",
        "shmsync_shards",
        "shmsync_participants",
        "shmsync_recoveries_total",
    ] {
        let has = |start: &str| metrics.lines().any(|line| line.starts_with(start));
        assert!(
            has(&format!("# TYPE {name} ")) && has(&format!("{name}{{store=\"{}\"", world.store())),
            "{name}: {metrics}"
        );
    }
}

#[test]
fn verify_finds_nothing_wrong_with_a_sound_store() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    assert_eq!(world.yes(&["verify"]), "");
    let found = json(&world.yes(&["verify", "--json"]));
    assert_eq!((&found["records"], &found["problems"]), (&serde_json::json!(1), &serde_json::json!([])));
}

// row B13
#[test]
fn destroy_removes_the_store_and_a_second_time_there_is_none() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    assert_eq!(world.yes(&["destroy"]), "");
    assert_eq!(std::fs::read_dir(world.folder()).expect("a folder").count(), 0);
    assert_eq!(world.run(&["destroy"]).code, 1);
    world.yes(&["set", "k", "2"]);
    assert_eq!(world.yes(&["get", "k"]), "2\n");
}

// row B7
#[test]
fn a_store_in_exclusive_use_is_waited_for_as_long_as_was_said() {
    let world = World::new();
    let store = world.open();
    store.set("k", &1).expect("set");
    let exclusive = store.exclusive().expect("free");
    let answer = world.run(&["get", "k", "--timeout", "200ms"]);
    assert!(answer.code == 2 && answer.err.contains("still locked after"), "{answer:?}");
    drop(exclusive);
    assert_eq!(world.yes(&["get", "k", "--timeout", "200ms"]), "1\n");
}

#[test]
fn the_default_store_is_named_default() {
    let world = World::new();
    let answer = common::answer(world.bare(&["get", "a key that nobody has", "-v"]));
    assert!(answer.err.contains("default"), "{answer:?}");
}
