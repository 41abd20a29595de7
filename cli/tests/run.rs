//! `lock run`: exit codes, signals, who carries the lock on and who does not.

mod common;

use std::fs;

use common::{Answer, World, background, eventually, is_alive, json, signal};

fn run(world: &World, flags: &[&str], program: &[&str]) -> Answer {
    world.run(&[&["lock", "run"], flags, &["--"], program].concat())
}

fn says(answer: &Answer, code: i32, part: &str) {
    assert!(answer.code == code && answer.err.contains(part) && answer.err.lines().count() <= 1, "{answer:?}");
}

#[test]
fn c11_the_status_of_the_program_is_that_of_the_command() {
    let world = World::new();
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        let answer = run(&world, &["n"], &["sh", "-c", script]);
        assert_eq!((answer.code, &*answer.out, &*answer.err), (code, "", ""), "{script}");
        assert!(world.locks().is_empty(), "{script}");
    }
    world.write("text", "not a program\n");
    says(&run(&world, &["n"], &["./text"]), 126, "cannot run \"./text\"");
    says(&run(&world, &["n"], &["./nowhere"]), 127, "cannot run \"./nowhere\"");
    assert!(world.locks().is_empty(), "nothing is left held");
}

#[test]
fn failures_of_its_own_are_125_and_a_lock_not_obtained_is_1_or_what_was_asked_for() {
    let world = World::new();
    world.write("other", "these are other bytes\n".repeat(1_000));
    says(&world.run(&["lock", "run", "n", "--store", "./other", "--", "true"]), 125, "/other: ");
    says(&world.run(&["lock", "run", "n"]), 125, "<CMD>");
    says(&world.run(&["lock", "run", "n", "--frob", "--", "true"]), 125, "--frob");
    says(&run(&world, &[""], &["true"]), 125, "give it a name");
    world.yes(&["lock", "set", "n", "--owner", "somebody"]);
    assert_eq!(
        run(&world, &["n", "--timeout", "0"], &["true"]),
        Answer { code: 1, out: String::new(), err: String::new() }
    );
    says(&run(&world, &["n", "--timeout", "50ms"], &["true"]), 1, "lock \"n\": still held by somebody for ");
    says(&run(&world, &["n", "--timeout", "0", "-E", "75"], &["true"]), 75, "");
    world.yes(&["lock", "free", "n", "--owner", "somebody"]);
    says(&run(&world, &["n", "--timeout", "0", "-E", "75"], &["true"]), 0, "");
}

#[test]
fn the_program_finds_the_token_of_the_innermost_lock() {
    let world = World::new();
    let script = "echo $SHMSYNC_TOKEN; exec shmsync lock status --json";
    let script = format!("shmsync lock run a -- shmsync lock run b -- sh -c '{script}'");
    let mut shell = background(world.shell("dash", &script));
    let (token, locks) = (shell.line(), json(&shell.line()));
    let names: Vec<_> = locks.as_array().expect("an array").iter().map(|lock| &lock["name"]).collect();
    assert_eq!((names, &locks[1]["token"]), (vec![&"a".into(), &"b".into()], &serde_json::Value::from(token)));
    assert_eq!(shell.end().code, 0);
    assert!(world.locks().is_empty());
}

#[test]
fn signals_are_passed_on() {
    let world = World::new();
    for (name, code) in [("TERM", 11), ("INT", 12), ("HUP", 13), ("USR1", 14)] {
        let script = format!("trap 'exit {code}' {name}; echo ready; while :; do sleep 0.02; done");
        let mut wrapper = world.start(&["lock", "run", "n", "--", "sh", "-c", &script]);
        assert_eq!(wrapper.line(), "ready");
        wrapper.signal(name);
        assert_eq!(wrapper.end().code, code, "{name}");
        assert!(world.locks().is_empty());
    }
}

#[test]
fn what_was_ignored_stays_ignored_and_nothing_is_blocked() {
    let world = World::new();
    let masks = |script: &str| {
        let answer = common::answer(world.shell("dash", script));
        assert_eq!((answer.code, &*answer.err), (0, ""));
        // 32 and 33 are the C library's own, which ignores them in what it starts.
        let mask =
            |line: &str| u64::from_str_radix(line.rsplit('\t').next().expect("a mask"), 16).expect("hexadecimal");
        answer.out.lines().map(|line| mask(line) & !(3 << 31)).collect::<Vec<_>>()
    };
    let script = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    for trap in ["", "trap '' HUP;"] {
        assert_eq!(
            masks(&format!("{trap} shmsync lock run n -- {script}")),
            masks(&format!("{trap} {script}")),
            "{trap}"
        );
    }
}

#[test]
fn a_signal_of_the_terminal_is_not_passed_on_twice() {
    let world = World::new();
    if std::process::Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no script(1) to make a terminal");
        return;
    }
    // Both are in the foreground of a terminal; its ^C goes to each of them.
    let program =
        "trap 'echo caught >> caught' INT; echo ready > ready; while test -e ready && ! test -e stop; do :; done";
    let script = format!("shmsync lock run n -- sh -c \"{program}\"");
    let mut command = world.shell("dash", "exec script -q -e -c \"$RUN\" /dev/null");
    command.env("RUN", script).env("SHELL", "/bin/dash");
    let mut terminal = background(command);
    eventually("it is ready", || world.path("ready").exists());
    let caught = || fs::read_to_string(world.path("caught")).unwrap_or_default().lines().count();
    // Two that come together can be one, but not always.
    for round in 1..=30 {
        std::io::Write::write_all(terminal.input(), b"\x03").expect("typed");
        eventually("it was told", || caught() >= round);
        assert_eq!(caught(), round);
    }
    world.write("stop", "");
    terminal.end();
    assert_eq!(caught(), 30);
}

#[test]
fn attack_11_a_killed_wrapper_leaves_the_lock_to_its_program() {
    let world = World::new();
    let mut wrapper = world.start(&["lock", "run", "n", "--", "sh", "-c", "echo $$; exec sleep 600"]);
    let program = wrapper.line();
    wrapper.signal("KILL");
    drop(wrapper);
    assert!(is_alive(&program));
    assert_eq!(world.run(&["lock", "set", "n", "--timeout", "600ms"]).code, 1, "the program carries it on");
    let waiter = world.start(&["lock", "set", "n", "--wait"]);
    signal(&program, "KILL");
    assert_eq!(waiter.end().code, 0);
}

#[test]
fn attack_11_a_daemon_that_is_left_behind_does_not_keep_the_lock() {
    let world = World::new();
    let script = "sleep 600 > /dev/null 2>&1 & echo $!";
    let answer = run(&world, &["n"], &["sh", "-c", script]);
    assert_eq!((answer.code, &*answer.err), (0, ""));
    assert!(world.locks().is_empty());
    assert_eq!(world.run(&["lock", "set", "n"]).code, 0);
    let daemon = answer.out.trim();
    assert!(is_alive(daemon), "it lives, and has nothing");
    signal(daemon, "KILL");
}

#[test]
fn attack_11_what_a_killed_outer_wrapper_held_is_kept_by_the_inner_program() {
    let world = World::new();
    let mut outer = background(
        world.shell("dash", "exec shmsync lock run a -- shmsync lock run b -- sh -c 'echo $$; exec sleep 600'"),
    );
    let program = outer.line();
    outer.signal("KILL");
    drop(outer);
    for name in ["a", "b"] {
        assert_eq!(world.run(&["lock", "set", name, "--timeout", "300ms"]).code, 1, "{name}");
    }
    signal(&program, "KILL");
    for name in ["a", "b"] {
        assert_eq!(world.run(&["lock", "set", name, "--timeout", "2m"]).code, 0, "{name}");
    }
}

#[test]
fn programs_run_one_after_the_other_and_as_many_at_once_as_a_semaphore_lets() {
    let world = World::new();
    let script = "test ! -e busy && touch busy && sleep 0.02 && rm busy && echo done >> done";
    let runs: Vec<_> = (0..12).map(|_| world.start(&["lock", "run", "n", "--", "sh", "-c", script])).collect();
    assert!(runs.into_iter().all(|run| run.end().code == 0), "two ran at once");
    assert_eq!(fs::read_to_string(world.path("done")).expect("read").lines().count(), 12);

    let hold = || {
        let mut one =
            world.start(&["lock", "run", "--semaphore", "2", "s", "--", "sh", "-c", "echo ready; exec sleep 600"]);
        assert_eq!(one.line(), "ready");
        one
    };
    let (one, other) = (hold(), hold());
    assert_eq!(world.locks().len(), 2);
    says(&run(&world, &["s", "--semaphore", "2", "--timeout", "0"], &["true"]), 1, "");
    says(&run(&world, &["s", "--semaphore", "3", "--timeout", "0"], &["true"]), 125, "2 permits");
    for run in [&one, &other] {
        run.signal("TERM");
    }
    assert_eq!((one.end().code, other.end().code), (143, 143));
}

#[test]
fn a_lock_that_was_forced_while_the_program_ran_is_told() {
    let world = World::new();
    let script = "shmsync lock run n -- shmsync lock free n --force --strict";
    let answer = common::answer(world.shell("dash", script));
    says(&answer, 0, "lock \"n\": it was lost");
}

/// A program that says its pid and then stays.
fn stays(world: &World, flags: &[&str]) -> (common::Background, String) {
    let script = "echo $$; exec sleep 1000";
    let mut run = world.start(&[&["lock", "run", "n"], flags, &["--", "sh", "-c", script]].concat());
    let pid = run.line();
    (run, pid)
}

#[test]
fn a_program_whose_lock_is_lost_is_stopped() {
    let world = World::new();
    let (run, pid) = stays(&world, &[]);
    world.yes(&["lock", "free", "n", "--force", "--strict"]);
    says(&run.end(), 1, "which was stopped");
    assert!(!is_alive(&pid));
    let (run, _) = stays(&world, &["-E", "75"]);
    world.yes(&["destroy"]);
    assert_eq!(run.end().code, 75);
}

#[test]
fn a_program_that_does_not_end_when_its_lock_is_lost_is_killed() {
    let world = World::new();
    let script = "trap '' TERM; echo $$; while :; do sleep 1; done";
    let mut run = world.start(&["lock", "run", "n", "--grace", "100ms", "--", "sh", "-c", script]);
    let pid = run.line();
    world.yes(&["lock", "free", "n", "--force", "--strict"]);
    says(&run.end(), 1, "which was stopped");
    eventually("it is dead", || !is_alive(&pid));
}

#[test]
fn a_program_may_go_on_without_its_lock() {
    let world = World::new();
    let script = "echo begun; read line; exit 7";
    let mut run = background(world.command(&["lock", "run", "n", "--keep-running", "--", "sh", "-c", script]));
    assert_eq!(run.line(), "begun");
    world.yes(&["lock", "free", "n", "--force", "--strict"]);
    // Longer than it would take to notice.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    std::io::Write::write_all(run.input(), b"end\n").expect("it reads");
    says(&run.end(), 7, "went on to its end");
}
