//! Whoever reads the output may leave at any time.

mod common;

use std::{fs::OpenOptions, process::Stdio};

use common::{World, answer, eventually};

#[test]
fn a_closed_pipe_is_no_error() {
    let world = World::new();
    let store = world.open();
    for number in 0..20_000 {
        store.set(&format!("a-key-of-some-length/{number:06}"), &number).expect("set");
    }
    for args in [&["keys"][..], &["dump"], &["dump", "--format", "msgpack"], &["keys", "--json"]] {
        let mut running = world.start(args);
        running.stop_reading();
        let answer = running.end();
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{args:?}");
    }
    let mut help = world.start(&["--help"]);
    help.stop_reading();
    assert_eq!(help.end().code, 0);
}

#[test]
fn a_watch_ends_when_its_reader_leaves_although_nothing_changes() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let mut watch = world.start(&["watch", "k"]);
    assert!(watch.line().contains("\"initial\":true"));
    watch.stop_reading();
    eventually("it ends", || !watch.is_running());
    assert_eq!(watch.end().code, 0);
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it exists");
    let mut command = world.command(&["get", "k"]);
    let child = command.stdout(Stdio::from(full)).stderr(Stdio::piped()).spawn().expect("started");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}

// row C7
#[test]
fn it_is_quiet_unless_verbose() {
    let world = World::new();
    assert_eq!(world.yes(&["set", "k", "1"]), "");
    let told = world.run(&["-v", "set", "k", "2"]);
    assert!(told.code == 0 && told.out.is_empty() && told.err.contains("\"k\""), "{told:?}");
    let absent = world.run(&["get", "x", "-v"]);
    assert!(absent.code == 1 && absent.err.contains("\"x\" is absent"), "{absent:?}");
    assert_eq!(answer(world.bare(&["--version"])).err, "");
}
