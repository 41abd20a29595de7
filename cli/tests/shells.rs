//! Locks and the shells that own them: dash and bash, and every way to join commands.

mod common;

use std::io::Write as _;

use common::{World, answer, background, eventually, signal};

#[test]
fn scenario_27_a_loser_does_not_free_the_winners_lock() {
    let world = World::new();
    let mut winner = background(world.shell("bash", "shmsync lock set n && echo $$; read line; exit 0"));
    let pid = winner.line();
    let loser = answer(world.shell("bash", "shmsync lock set n && echo obtained; shmsync lock free n"));
    assert_eq!((loser.code, &*loser.out, &*loser.err), (0, "", ""));
    let locks = world.locks();
    assert_eq!((&locks[0]["state"], locks[0]["owner"]["pid"].to_string()), (&"held".into(), pid));
}

#[test]
fn scenario_27_a_lock_whose_shell_has_ended_is_orphaned_and_anybody_frees_it() {
    let world = World::new();
    let shell = answer(world.shell("dash", "shmsync lock set n; echo $$; true"));
    let locks = world.locks();
    assert_eq!(
        (&locks[0]["state"], locks[0]["owner"]["pid"].to_string()),
        (&"orphaned".into(), shell.out.trim().into())
    );
    assert_eq!(world.run(&["lock", "set", "n"]).code, 1, "it stays until it is freed");
    assert_eq!(world.run(&["lock", "free", "n", "--strict"]).code, 0);
    assert!(world.locks().is_empty());
}

#[test]
fn a_lock_that_dies_with_its_owner_is_had_by_who_waits() {
    let world = World::new();
    let mut owner =
        background(world.shell("bash", "shmsync lock set n --die-with-owner && echo $$; read line; exit 0"));
    let pid = owner.line();
    let waiter = world.start(&["lock", "set", "n", "--wait", "--owner", "next"]);
    eventually("it waits", || world.locks()[0]["waiters"] == 1);
    signal(&pid, "KILL");
    assert_eq!(waiter.end().code, 0);
    assert_eq!(world.locks()[0]["owner"]["label"], "next");
}

/// Ways to set and to free in one script; each frees.
const JOINED: [&str; 14] = [
    "shmsync lock set n && shmsync lock free n --strict",
    "shmsync lock set n; shmsync lock free n --strict",
    "shmsync lock set n; shmsync lock free n --strict; true",
    "if shmsync lock set n; then shmsync lock free n --strict; else exit 9; fi",
    "token=$(shmsync lock set n --print-token); shmsync lock free n --strict",
    "token=$(shmsync lock set n --print-token; true); shmsync lock free n --strict",
    "shmsync lock set n; nothing=$(shmsync lock free n --strict)",
    "shmsync lock set n | cat; shmsync lock free n --strict",
    "shmsync lock set n; shmsync lock free n --strict | cat",
    "env shmsync lock set n && env shmsync lock free n --strict",
    "(shmsync lock set n); shmsync lock free n --strict",
    "(shmsync lock set n; true); shmsync lock free n --strict",
    "trap 'shmsync lock free n --strict' EXIT; shmsync lock set n; exit",
    "$0 -c 'shmsync lock set n' && exec shmsync lock free n --strict",
];

#[test]
fn scenario_27_what_a_script_sets_it_frees_however_it_joins_them() {
    let world = World::new();
    for shell in ["dash", "bash"] {
        for script in JOINED {
            let mut command = world.shell(shell, script);
            command.arg(shell);
            let done = answer(command);
            assert_eq!((done.code, &*done.err), (0, ""), "{shell}: {script}: {done:?}");
            assert!(world.locks().is_empty(), "{shell}: {script}");
        }
    }
}

#[test]
fn scenario_27_what_a_makefile_sets_it_frees() {
    let world = World::new();
    for shell in ["/bin/dash", "/bin/bash"] {
        for lines in [
            "\tshmsync lock set n && shmsync lock free n --strict\n",
            "\tshmsync lock set n\n\tshmsync lock free n --strict\n",
            "\tshmsync lock set n; true\n\tshmsync lock free n --strict; true\n",
        ] {
            world.write("Makefile", format!("SHELL := {shell}\nall:\n{lines}"));
            let done = answer(world.shell("dash", "make --silent"));
            assert_eq!((done.code, &*done.err), (0, ""), "{shell}: {lines}: {done:?}");
            assert!(world.locks().is_empty(), "{shell}: {lines}");
        }
    }
}

#[test]
fn a_process_that_execs_is_the_same_owner() {
    let world = World::new();
    let script = "shmsync lock set n && echo $$ && exec bash -c 'read line; shmsync lock free n --strict'";
    let mut shell = background(world.shell("bash", script));
    let pid = shell.line();
    eventually("it has the lock still", || world.locks()[0]["state"] == "held");
    assert_eq!(world.locks()[0]["owner"]["pid"].to_string(), pid);
    shell.input().write_all(b"\n").expect("read");
    assert_eq!(shell.end().code, 0);
}
