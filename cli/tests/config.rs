//! Where settings come from.

mod common;

use std::{fs, process::Command};

use common::{World, answer};

fn config(world: &World, text: &str) {
    world.write(".config/shmsync/config.toml", text);
}

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.envs(variables.iter().copied());
    command
}

// row C6
#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let world = World::new();
    for store in ["flag", "environment", "file"] {
        shmsync::Sync::open(world.path(store)).expect("opened").set("where", store).expect("set");
    }
    let path = |name: &str| world.path(name).to_str().expect("UTF-8").to_owned();
    config(&world, &format!("store = {:?}", path("file")));
    let environment = [("SHMSYNC_STORE", &*path("environment"))];
    let get = || world.bare(&["get", "where"]);
    assert_eq!(answer(get()).out, "file\n");
    assert_eq!(answer(with(get(), &environment)).out, "environment\n");
    let flag = world.bare(&["get", "where", "--store", &path("flag")]);
    assert_eq!(answer(with(flag, &environment)).out, "flag\n");
    // An empty variable says nothing.
    assert_eq!(answer(with(get(), &[("SHMSYNC_STORE", "")])).out, "file\n");
}

// row C6
#[test]
fn the_file_may_be_named_and_a_partial_one_keeps_other_defaults() {
    let world = World::new();
    world.yes(&["set", "ns/k", "1"]);
    let named = world.write("my.toml", "namespace = \"ns\"\njson = true");
    config(&world, "json = false\nlabel = \"x\"");
    let named = [("SHMSYNC_CONFIG", named.to_str().expect("UTF-8"))];
    assert!(answer(with(world.command(&["get", "k"]), &named)).out.starts_with("{\"key\":\"k\",\"value\":1"));
    assert_eq!(answer(with(world.command(&["get", "k", "--json=false"]), &named)).out, "1\n");
    let xdg = world.write("xdg/shmsync/config.toml", "namespace = \"ns\"");
    let xdg = xdg.ancestors().nth(2).and_then(|path| path.to_str()).expect("a folder");
    assert_eq!(answer(with(world.command(&["get", "k"]), &[("XDG_CONFIG_HOME", xdg)])).out, "1\n");
}

#[test]
fn a_default_ttl_and_timeout_are_obeyed() {
    let world = World::new();
    config(&world, "ttl = \"100ms\"\ntimeout = 0.1");
    world.yes(&["set", "k", "1"]);
    common::eventually("it expires", || world.run(&["has", "k"]).code == 1);
    assert_eq!(world.run(&["watch", "k"]).code, 1);
}

// row C6
#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let world = World::new();
    config(&world, "stroe = \"x\"");
    let refused = world.run(&["get", "k"]);
    assert!(
        refused.code == 2 && refused.err.contains("\"stroe\"") && refused.err.contains("config.toml"),
        "{refused:?}"
    );
    let missing = answer(with(world.command(&["get", "k"]), &[("SHMSYNC_CONFIG", "/nowhere/x.toml")]));
    assert!(missing.code == 2 && missing.err.contains("/nowhere/x.toml"), "{missing:?}");
    let wrong = answer(with(world.bare(&["get", "k"]), &[("SHMSYNC_TIMEOUT", "soon"), ("HOME", "/nowhere")]));
    assert!(wrong.code == 2 && wrong.err.contains("SHMSYNC_TIMEOUT"), "{wrong:?}");
}

// row C5
#[test]
fn init_creates_store_and_file_and_keeps_what_is_there() {
    let world = World::new();
    let file = world.path(".config/shmsync/config.toml");
    assert_eq!(world.yes(&["init"]), "");
    assert!(world.path("store").exists());
    let text = fs::read_to_string(&file).expect("written");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    assert!(text.contains("#store = ") && text.contains("#timeout = "), "{text}");
    fs::write(&file, "label = \"mine\"\n").expect("written");
    world.yes(&["set", "k", "1"]);
    let again = common::json(&world.yes(&["init", "--json"]));
    assert_eq!(again["config_created"], false);
    assert_eq!(fs::read_to_string(&file).expect("there"), "label = \"mine\"\n");
    assert_eq!(world.yes(&["get", "k"]), "1\n");
}

// row C5
#[test]
fn init_makes_the_file_that_the_environment_names() {
    let world = World::new();
    let path = world.path("deep/er/my.toml");
    let variables = [("SHMSYNC_CONFIG", path.to_str().expect("UTF-8"))];
    let answer = answer(with(world.command(&["init", "-v"]), &variables));
    assert!(answer.code == 0 && answer.err.contains("my.toml"), "{answer:?}");
    assert!(path.exists());
}
