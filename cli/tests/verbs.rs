//! Values from the shell: what each verb prints and how it ends.

mod common;

use common::{World, json};
use serde_json::json as j;

// row B1
#[test]
fn what_one_process_sets_the_next_one_gets() {
    let world = World::new();
    assert_eq!(world.yes(&["set", "name", "Ada"]), "");
    assert_eq!(world.yes(&["get", "name"]), "Ada\n");
    assert_eq!(world.run(&["has", "name"]).code, 0);
    assert_eq!(world.yes(&["remove", "name"]), "");
    for args in [&["get", "name"], &["has", "name"], &["remove", "name"]] {
        let answer = world.run(args);
        assert_eq!((answer.code, &*answer.out, &*answer.err), (1, "", ""), "{args:?}");
    }
}

// row B2
#[test]
fn reading_a_missing_store_acts_as_on_an_empty_one_and_creates_nothing() {
    let world = World::new();
    assert_eq!(world.run(&["get", "k"]).code, 1);
    assert_eq!(world.yes(&["get", "k", "--default", "7"]), "7\n");
    assert_eq!(world.run(&["has", "k"]).code, 1);
    assert_eq!(world.run(&["remove", "k"]).code, 1);
    assert_eq!(world.yes(&["keys"]), "");
    assert_eq!(world.yes(&["keys", "--json"]), "[]\n");
    assert_eq!(world.yes(&["dump"]), "{}\n");
    assert_eq!(world.yes(&["ps"]), "");
    for verb in ["info", "verify", "destroy"] {
        let answer = world.run(&[verb]);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{verb}");
        assert!(answer.err.contains(&world.store()) && answer.err.lines().count() == 1, "{verb}: {answer:?}");
    }
    assert_eq!(std::fs::read_dir(world.folder()).expect("a folder").count(), 0);
}

// row B3
#[test]
fn null_counts_as_absent_for_has_and_every_other_value_as_present() {
    let world = World::new();
    for value in ["0", "\"\"", "false", "[]", "{}"] {
        world.yes(&["set", "k", value]);
        assert_eq!(world.run(&["has", "k"]).code, 0, "{value}");
    }
    world.yes(&["set", "k", "null"]);
    assert_eq!(world.run(&["has", "k"]).code, 1);
    assert_eq!(world.yes(&["get", "k"]), "null\n");
    assert_eq!(world.yes(&["keys"]), "k\n");
}

// row B4
#[test]
fn the_command_and_the_library_agree_on_every_kind_of_value() {
    let world = World::new();
    let store = world.open();
    store.set("int", &-5_i64).expect("set");
    store.set("big", &u64::MAX).expect("set");
    store.set("float", &2.5).expect("set");
    store.set("nan", &f64::NAN).expect("set");
    store.set("text", "a\nb").expect("set");
    store.set_bytes("bytes", &[0, 255]).expect("set");
    store.set("list", &(1, "x", None::<i32>)).expect("set");
    let expected = [
        ("int", "-5"),
        ("big", "18446744073709551615"),
        ("float", "2.5"),
        ("nan", r#"{"$f64":"nan"}"#),
        ("text", "a\nb"),
        ("bytes", r#"{"$bytes":"AP8="}"#),
        ("list", r#"[1,"x",null]"#),
    ];
    for (key, text) in expected {
        assert_eq!(world.yes(&["get", key]), format!("{text}\n"));
    }
    world.yes(&["set", "int", "-6"]);
    world.yes(&["set", "bytes", r#"{"$bytes":"AQI="}"#]);
    world.yes(&["set", "map", r#"{"a": [1, 2.0]}"#]);
    world.yes(&["set", "--string", "zip", "01234"]);
    assert_eq!(store.integer("int").get().expect("read"), Some(-6));
    assert_eq!(store.get_bytes("bytes").expect("read"), Some(vec![1, 2]));
    assert_eq!(store.get::<String>("zip").expect("read").as_deref(), Some("01234"));
    let map = store.get::<std::collections::BTreeMap<String, (i32, f64)>>("map").expect("read").expect("there");
    assert_eq!(map["a"], (1, 2.0));
}

// row B5
#[test]
fn any_name_and_large_values_work() {
    let world = World::new();
    for key in ["ключ", "7", "with space", "--", "new\nline", "a/b/c", "🦀"] {
        world.yes(&["set", "--", key, "v"]);
        assert_eq!(world.yes(&["get", "--", key]), "v\n", "{key:?}");
    }
    let large = "x".repeat(3 << 20);
    assert_eq!(world.run_with_input(&["set", "large", "-"], large.as_bytes()).code, 0);
    assert_eq!(world.yes(&["get", "large"]).len(), large.len() + 1);
}

// row D15
#[test]
fn an_entry_with_a_ttl_is_gone_when_its_time_is_up() {
    let world = World::new();
    world.yes(&["set", "k", "1", "--ttl", "300ms"]);
    assert_eq!(world.run(&["has", "k"]).code, 0);
    common::eventually("it expires", || world.run(&["has", "k"]).code == 1);
    assert_eq!(world.yes(&["keys"]), "");
}

#[test]
fn standard_input_loses_its_last_newline_only() {
    let world = World::new();
    world.run_with_input(&["set", "k", "-"], b"two\nlines\n");
    assert_eq!(world.yes(&["get", "k"]), "two\nlines\n");
    world.run_with_input(&["set", "n", "-"], b"17\n");
    assert_eq!(world.open().get::<i64>("n").expect("read"), Some(17));
    let answer = world.run_with_input(&["set", "b", "-"], &[0xff, 0xfe]);
    assert!(answer.code == 2 && answer.err.contains("\"b\"") && answer.err.contains("$bytes"), "{answer:?}");
}

// rows A7, A10, A11
#[test]
fn counters_count_from_zero_and_refuse_what_does_not_fit() {
    let world = World::new();
    assert_eq!(world.yes(&["incr", "n"]), "1\n");
    assert_eq!(world.yes(&["incr", "n", "41"]), "42\n");
    assert_eq!(world.yes(&["incr", "n", "-2"]), "40\n");
    assert_eq!(world.yes(&["decr", "n", "50"]), "-10\n");
    assert_eq!(world.yes(&["decr", "m"]), "-1\n");
    world.yes(&["set", "max", &i64::MAX.to_string()]);
    world.yes(&["set", "text", "hello"]);
    for key in ["max", "text"] {
        let answer = world.run(&["incr", key]);
        assert!(answer.code == 2 && answer.err.contains(key), "{answer:?}");
    }
    assert_eq!(world.yes(&["get", "max"]), format!("{}\n", i64::MAX));
    assert_eq!(world.yes(&["get", "text"]), "hello\n");
}

// row A8
#[test]
fn every_concurrent_incr_gets_another_number() {
    let world = World::new();
    let running: Vec<_> = (0..16).map(|_| world.start(&["incr", "id"])).collect();
    let mut numbers: Vec<u32> =
        running.into_iter().map(|one| one.end().out.trim().parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
}

#[test]
fn keys_are_sorted_and_may_end_with_a_zero_byte() {
    let world = World::new();
    for key in ["b", "a/2", "a/1", "new\nline"] {
        world.yes(&["set", key, "1"]);
    }
    assert_eq!(world.yes(&["keys"]), "a/1\na/2\nb\nnew\nline\n");
    assert_eq!(world.yes(&["keys", "-0"]), "a/1\0a/2\0b\0new\nline\0");
    assert_eq!(world.yes(&["keys", "a/"]), "a/1\na/2\n");
    assert_eq!(world.yes(&["--namespace", "a", "keys"]), "1\n2\n");
    assert_eq!(json(&world.yes(&["keys", "--json"])), j!(["a/1", "a/2", "b", "new\nline"]));
}

#[test]
fn remove_takes_many_keys_and_tells_when_one_was_absent() {
    let world = World::new();
    world.yes(&["set", "a", "1"]);
    world.yes(&["set", "b", "1"]);
    let answer = world.run(&["remove", "a", "x", "b", "--json"]);
    assert_eq!(answer.code, 1);
    assert_eq!(json(&answer.out), j!({ "removed": ["a", "b"], "absent": ["x"] }));
    assert_eq!(world.yes(&["keys"]), "");
}

#[test]
fn json_answers_have_their_documented_form_and_revisions_are_strings() {
    let world = World::new();
    let set = json(&world.yes(&["set", "k", "[1]", "--json"]));
    let revision = set["revision"].as_str().expect("a string");
    assert!(revision.parse::<u64>().is_ok() && set["key"] == "k", "{set}");
    assert_eq!(json(&world.yes(&["--json", "get", "k"])), j!({ "key": "k", "value": [1], "revision": revision }));
    let default = json(&world.yes(&["--json", "get", "x", "--default", "d"]));
    assert_eq!(default, j!({ "key": "x", "value": "d", "revision": null }));
    assert_eq!(json(&world.yes(&["has", "k", "--json"])), j!({ "key": "k", "has": true }));
    assert_eq!(json(&world.yes(&["incr", "n", "--json"])), j!({ "key": "n", "value": 1 }));
}

#[test]
fn version_help_completions_and_manual_pages_are_there() {
    let world = World::new();
    assert!(world.yes(&["--version"]).contains("(format "));
    assert!(world.yes(&["watch", "--help"]).contains("Exit codes:"));
    assert!(world.yes(&["completions", "bash"]).contains("shmsync"));
    world.yes(&["man", "man1"]);
    assert!(std::fs::read_to_string(world.path("man1/shmsync-watch.1")).expect("written").contains("Exit codes"));
}
