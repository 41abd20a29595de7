//! The demo: real files, real processes, real kills.

mod common;

use std::{
    fs,
    os::unix::{fs as unix_fs, process::CommandExt},
    process::{Command, Stdio},
};

use common::{World, answer, eventually, json};

/// A folder with a few hundred files of all kinds.
fn files(world: &World) -> String {
    for number in 0..300 {
        world.write(&format!("input/{}/{number}.txt", number % 7), format!("{number}\n").repeat(number));
    }
    world.write("input/empty", "");
    world.write("input/binary", (0..=255_u8).collect::<Vec<_>>().repeat(40_000));
    world.write("input/no newline", "x");
    fs::create_dir(world.path("input/empty folder")).expect("made");
    unix_fs::symlink("nowhere", world.path("input/dangling")).expect("linked");
    world.path("input").to_str().expect("UTF-8").to_owned()
}

fn lines_below(world: &World, dir: &str) -> u64 {
    let mut count = 0;
    for entry in walk(&world.path(dir)) {
        count += fs::read(entry).expect("read").iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
    count
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable"));
    let below = entries.map(|entry| match entry.file_type().expect("known") {
        kind if kind.is_dir() => walk(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => vec![],
    });
    below.flatten().collect()
}

/// Nothing is left behind: no store, no process.
fn assert_clean(world: &World) {
    assert!(!world.path("store").exists());
    let workers =
        fs::read_dir("/proc").expect("proc").filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let store = world.store();
    let of_ours = workers.filter(|line| line.windows(store.len()).any(|part| part == store.as_bytes()));
    assert_eq!(of_ours.count(), 0);
}

#[test]
fn workers_read_every_file_and_agree_with_a_single_process() {
    let world = World::new();
    let dir = files(&world);
    let report = json(&world.yes(&["demo", &dir, "--json"]));
    assert_eq!(report["agreed"], true, "{report}");
    assert_eq!(report["totals"], report["single"]);
    assert_eq!(report["totals"]["files"], 303);
    assert_eq!(report["totals"]["lines"], lines_below(&world, "input"));
    assert_eq!((report["claims"].as_u64(), report["changed"].as_u64()), (Some(303), Some(0)), "{report}");
    assert_clean(&world);
}

// row D10
#[test]
fn a_killed_worker_is_replaced_and_nothing_is_lost_or_counted_twice() {
    let world = World::new();
    let dir = files(&world);
    for workers in ["1", "4", "9"] {
        let report = json(&world.yes(&["demo", &dir, "--json", "--kill", "--workers", workers]));
        assert_eq!(report["agreed"], true, "{report}");
        assert_eq!((report["totals"]["files"].as_u64(), report["claims"].as_u64()), (Some(303), Some(304)), "{report}");
        assert_eq!(report["killed"].as_array().map(Vec::len), Some(1), "{report}");
        assert!(report["killed"][0]["file"].is_string(), "{report}");
    }
    assert_clean(&world);
}

#[test]
fn a_worker_is_killed_also_where_there_is_one_file_only() {
    let world = World::new();
    world.write("input/one", "1\n");
    let report = json(&world.yes(&["demo", "input", "--json", "--kill"]));
    assert_eq!((&report["agreed"], report["claims"].as_u64()), (&serde_json::json!(true), Some(2)), "{report}");
}

#[test]
fn piped_it_prints_plain_lines() {
    let world = World::new();
    let dir = files(&world);
    let text = world.yes(&["demo", &dir, "--kill"]);
    assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    assert!(text.contains("was killed with ") && text.contains("takes its place"), "{text}");
    assert!(text.contains("4 workers read 303 files") && text.contains("1 process read 303 files"), "{text}");
    assert!(text.contains("agreed: totals and all digests"), "{text}");
}

#[test]
fn an_empty_folder_is_read_at_once() {
    let world = World::new();
    fs::create_dir(world.path("input")).expect("made");
    let report = json(&world.yes(&["demo", "input", "--json", "--kill"]));
    assert_eq!(
        (&report["agreed"], report["totals"]["files"].as_u64()),
        (&serde_json::json!(true), Some(0)),
        "{report}"
    );
    assert_clean(&world);
}

#[test]
fn what_gitignore_names_is_left_out() {
    let world = World::new();
    world.write("input/.gitignore", "*.log\n");
    world.write("input/a.log", "no");
    world.write("input/b.txt", "yes");
    assert_eq!(json(&world.yes(&["demo", "input", "--json"]))["totals"]["files"], 2);
}

#[test]
fn unreadable_files_are_named_and_the_rest_is_read() {
    let world = World::new();
    world.write("input/readable", "1\n");
    let secret = world.write("input/secret", "2\n");
    let mut command = world.command(&["demo", "input"]);
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("forbidden");
    if fs::read(&secret).is_ok() {
        // This is root, who may read everything: let nobody run it.
        let program = world.path("shmsync");
        // By another process: what another test starts just now would inherit our descriptor and keep the copy busy.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_shmsync")).arg(&program).status();
        assert!(copied.expect("cp").success());
        command = Command::new(program);
        command.args(["--store", &world.store(), "demo", "input"]).env_clear().current_dir(world.folder()).uid(65_534);
        unix_fs::chown(world.folder(), Some(65_534), None).expect("given away");
    }
    let answer = answer(command);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("read 1 file,") && answer.out.contains("secret: Permission denied"), "{answer:?}");
}

#[test]
fn a_second_demo_names_the_first_one_and_leaves_it_alone() {
    let world = World::new();
    let dir = files(&world);
    let running = world.start(&["demo", &dir, "--kill", "--keep"]);
    eventually("it leads", || world.run(&["has", "run"]).code == 0);
    running.signal("STOP");
    let second = world.run(&["demo", &dir]);
    assert_eq!(second.code, 2);
    assert!(second.err.contains(&format!("pid {}", running.pid())) && second.err.lines().count() == 1, "{second:?}");
    running.signal("CONT");
    let first = running.end();
    assert!(first.code == 0 && first.out.contains("agreed"), "{first:?}");
    assert_eq!(json(&world.yes(&["get", "result/no newline"]))["bytes"], 1);
    assert_eq!(world.yes(&["get", "progress/files"]), "303\n");
    assert_eq!(world.run(&["has", "run"]).code, 1);
    assert_eq!(json(&world.yes(&["demo", &dir, "--json"]))["agreed"], true);
    assert_clean(&world);
}

#[test]
fn another_terminal_sees_the_progress() {
    let world = World::new();
    let dir = files(&world);
    world.yes(&["init"]);
    let mut watch = world.start(&["watch", "--prefix", "progress", "--once", "--timeout", "30"]);
    eventually("it watches", || world.yes(&["ps"]).contains("watch"));
    world.yes(&["demo", &dir, "--keep"]);
    let change = json(&watch.line());
    assert!(change["key"].as_str().is_some_and(|key| key.starts_with("progress/")), "{change}");
    assert_eq!(watch.end().code, 0);
}

#[test]
fn interrupted_it_stops_its_workers_and_removes_its_store() {
    let world = World::new();
    let dir = files(&world);
    for signal in ["INT", "TERM"] {
        let running = world.start(&["demo", &dir, "--kill"]);
        eventually("it leads", || world.run(&["has", "run"]).code == 0);
        running.signal(signal);
        let answer = running.end();
        assert!(answer.code == 2 && answer.err.contains("interrupted"), "{answer:?}");
        assert_clean(&world);
    }
}

#[test]
fn when_the_leader_is_killed_its_workers_die_and_the_next_demo_starts_afresh() {
    let world = World::new();
    let dir = files(&world);
    let running = world.start(&["demo", &dir, "--kill"]);
    eventually("a worker works", || world.run(&["has", "progress/worker/1"]).code == 0);
    running.signal("KILL");
    assert_eq!(running.end().code, -1);
    eventually("its workers are gone", || world.yes(&["ps"]).is_empty());
    let report = json(&world.yes(&["demo", &dir, "--json"]));
    assert_eq!((&report["agreed"], report["claims"].as_u64()), (&serde_json::json!(true), Some(303)), "{report}");
    assert_clean(&world);
}

#[test]
fn a_reader_who_leaves_leaves_nothing_behind() {
    let world = World::new();
    let dir = files(&world);
    let mut command = world.command(&["demo", &dir, "--kill"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_clean(&world);
}

#[test]
fn a_store_with_other_things_in_it_is_not_touched() {
    let world = World::new();
    world.yes(&["set", "mine", "1"]);
    let answer = world.run(&["demo", "."]);
    assert!(answer.code == 2 && answer.err.contains(&world.store()) && answer.err.contains("--store"), "{answer:?}");
    assert_eq!(world.yes(&["dump"]), "{\n  \"mine\": 1\n}\n");
}

#[test]
fn files_that_vanish_or_change_meanwhile_do_not_matter() {
    let world = World::new();
    let dir = files(&world);
    let running = world.start(&["demo", &dir, "--workers", "2"]);
    for number in 0..300 {
        let path = world.path(&format!("input/{}/{number}.txt", number % 7));
        if number % 3 == 0 {
            fs::remove_file(path).expect("removed");
        } else if number % 3 == 1 {
            fs::write(path, "changed\n").expect("written");
        }
    }
    let answer = running.end();
    assert!(answer.code == 0 && answer.out.contains("agreed"), "{answer:?}");
    assert_clean(&world);
}

#[test]
fn workers_may_be_killed_from_outside_again_and_again() {
    let world = World::new();
    let dir = files(&world);
    world.write("input/large", b"0123456789abcde\n".repeat(4 << 20));
    let mut running = world.start(&["demo", &dir, "--json", "--workers", "3"]);
    let mut kills = 0;
    while running.is_running() && kills < 20 {
        let ps = world.run(&["ps", "--json"]).out;
        let workers = serde_json::from_str(&ps).unwrap_or(serde_json::Value::Null);
        let workers = workers.as_array().into_iter().flatten();
        let mut pids =
            workers.filter(|one| one["label"].as_str().is_some_and(|label| label.starts_with("demo worker")));
        if let Some(pid) = pids.nth(kills % 3).and_then(|one| one["pid"].as_u64()) {
            kills += usize::from(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().is_ok());
        }
    }
    let answer = running.end();
    assert_eq!(answer.code, 0, "{answer:?}");
    let report = json(&answer.out);
    assert_eq!(
        (&report["agreed"], report["totals"]["files"].as_u64()),
        (&serde_json::json!(true), Some(304)),
        "{report}"
    );
    assert!(report["killed"].as_array().is_some_and(|killed| killed.len() > 3), "{report}");
    assert_clean(&world);
}
