//! The same verbs on a cluster, from two hosts: each with a name, an an id of its boot of its own.
#![cfg(feature = "etcd")]

mod common;
#[path = "../../tests/etcd/server.rs"]
#[allow(dead_code, reason = "not all of it is of use here")]
mod server;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use common::{Answer, Background, World, answer, background, eventually, is_alive, json, signal};
use serde_json::json as j;
use server::Server;
use shmsync::{EncodedEntry, Sync};

/// Namespaces of their own for what tells hosts apart.
const NAMESPACES: [&str; 4] = ["--user", "--map-root-user", "--mount", "--uts"];
/// In them: becomes that host, then the program.
const HOST: &str = r#"hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && shift 2 && exec "$@""#;

/// One of the hosts that use the cluster.
struct Host<'a> {
    world: &'a World,
    name: &'static str,
    store: String,
}

impl<'a> Host<'a> {
    fn new(world: &'a World, server: &Server, name: &'static str, number: u32) -> Self {
        world.write(&format!("boot-{name}"), format!("{number:08x}-0000-4000-8000-000000000000\n"));
        Self { world, name, store: server.name("jobs?session=2s") }
    }

    /// The command, on this host.
    fn command(&self, words: &[&str]) -> Command {
        self.program(&[&[env!("CARGO_BIN_EXE_shmsync")], words].concat())
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut host = Command::new("unshare");
        host.args(NAMESPACES).args(["sh", "-c", HOST, "sh", self.name]);
        host.arg(self.world.path(&format!("boot-{}", self.name))).args(words);
        host.env_clear().env("HOME", self.world.folder()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        host.env("SHMSYNC_STORE", &self.store).current_dir(self.world.folder());
        host
    }

    fn run(&self, words: &[&str]) -> Answer {
        answer(self.command(words))
    }

    fn code(&self, words: &[&str]) -> i32 {
        let answer = self.run(words);
        assert!(answer.err.lines().count() <= 1, "{answer:?}");
        answer.code
    }

    fn locks(&self) -> Vec<serde_json::Value> {
        json(&self.run(&["lock", "status", "--json"]).out).as_array().expect("an array").clone()
    }

    fn start(&self, words: &[&str]) -> Background {
        background(self.command(words))
    }
}

/// A cluster, and two hosts; none where there is no etcd, or where hosts cannot be told apart.
macro_rules! hosts {
    ($world:ident, $server:ident, $one:ident, $other:ident) => {
        let $world = World::new();
        let Some($server) = Server::start() else { return };
        let ($one, $other) = (Host::new(&$world, &$server, "web1", 1), Host::new(&$world, &$server, "web2", 2));
        if !Command::new("unshare").args(NAMESPACES).arg("true").status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no namespaces for hosts of their own");
            return;
        }
    };
}

#[test]
fn c1_c3_c7_a_lock_of_one_host_is_held_for_the_other_until_it_is_freed() {
    hosts!(world, server, one, other);
    let quiet = |answer: Answer, code| assert_eq!((answer.code, &*answer.out, &*answer.err), (code, "", ""));
    quiet(one.run(&["lock", "set", "deploy", "--owner", "a"]), 0);
    assert_eq!(other.code(&["lock", "set", "deploy", "--owner", "b"]), 1);
    assert_eq!(other.code(&["lock", "free", "deploy", "--owner", "b"]), 0, "nothing of its own, and no error");
    assert_eq!(other.code(&["lock", "free", "deploy", "--owner", "b", "--strict"]), 1);
    assert_eq!(one.locks().len(), 1);
    quiet(other.run(&["lock", "free", "deploy", "--owner", "a", "--strict"]), 0);
    quiet(other.run(&["lock", "set", "deploy", "--owner", "b"]), 0);
    assert_eq!(one.code(&["lock", "set", ""]), 2);
    let nowhere = answer(world.bare(&["--store", "etcd://127.0.0.1:1/x?connect=1s", "lock", "set", "n"]));
    assert!(nowhere.code == 2 && nowhere.err.contains("127.0.0.1:1"), "{nowhere:?}");
}

#[test]
fn c2_who_waits_on_another_host_is_woken_by_the_release() {
    hosts!(world, server, one, other);
    assert_eq!(one.code(&["lock", "set", "n", "--owner", "a"]), 0);
    let waiting = other.start(&["lock", "set", "n", "--wait", "--owner", "b"]);
    eventually("it waits", || one.locks()[0]["waiters"] == 1);
    let begun = Instant::now();
    assert_eq!(one.code(&["lock", "free", "n", "--owner", "a", "--strict"]), 0);
    assert_eq!(waiting.end().code, 0);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let late = one.run(&["lock", "set", "n", "--owner", "a", "--timeout", "200ms"]);
    assert!(late.code == 1 && late.err.contains("still held by"), "{late:?}");
}

#[test]
fn c4_c10_status_tells_on_which_host_the_owner_is() {
    hosts!(world, server, one, other);
    assert_eq!(one.code(&["lock", "set", "n", "--ttl", "1h", "--label", "nightly"]), 0);
    let locks = other.locks();
    let [lock] = &locks[..] else { panic!("{locks:?}") };
    assert_eq!((&lock["name"], &lock["state"], &lock["lifetime"]), (&j!("n"), &j!("held"), &j!("ttl")));
    assert_eq!((&lock["owner"]["host"], &lock["owner"]["label"]), (&j!("web1"), &j!("nightly")));
    let left = lock["expires_in_s"].as_f64().expect("a number");
    assert!((3_000.0..=3_600.0).contains(&left) && lock["age_s"].as_f64().is_some(), "{lock}");
    assert_eq!(one.code(&["lock", "set", "least", "--owner", "a", "--hold-at-least", "1h"]), 0);
    assert_eq!(one.code(&["lock", "free", "least", "--owner", "a", "--strict"]), 0);
    assert_eq!(other.code(&["lock", "set", "least", "--owner", "b"]), 1);
}

#[test]
fn c8_of_many_at_once_on_both_hosts_one_obtains_it_and_none_fails() {
    hosts!(world, server, one, other);
    let starts = (0..30).map(|number| {
        let host = if number % 2 == 0 { &one } else { &other };
        host.start(&["lock", "set", "n", "--owner", &number.to_string()])
    });
    let started: Vec<Background> = starts.collect();
    let codes: Vec<i32> = started.into_iter().map(|set| set.end().code).collect();
    let count = |code: i32| codes.iter().filter(|found| **found == code).count();
    assert_eq!((count(0), count(1)), (1, 29), "{codes:?}");
}

/// The owner of the first lock is the shell of its host, which has ended since. Only its own host can know.
#[test]
fn c9_whose_owner_has_ended_is_freed_by_anybody_on_its_host_and_by_force_elsewhere() {
    hosts!(world, server, one, other);
    for (name, host, flags) in [("n", &one, &[][..]), ("m", &other, &["--force"])] {
        let shell = ["sh", "-c", r#""$0" lock set "$1"; exit $?"#, env!("CARGO_BIN_EXE_shmsync"), name];
        assert_eq!(answer(one.program(&shell)).code, 0);
        assert_eq!(other.code(&["lock", "free", name, "--strict"]), 1, "another host cannot know");
        assert_eq!(host.code(&[&["lock", "free", name, "--strict"], flags].concat()), 0);
        assert!(one.locks().is_empty());
    }
}

#[test]
fn c11_a_program_runs_under_a_lock_of_the_cluster() {
    hosts!(world, server, one, other);
    let run = |script| one.run(&["lock", "run", "n", "--", "sh", "-c", script]);
    assert_eq!(run("exit 7").code, 7);
    assert_eq!(run("kill -TERM $$").code, 143);
    let (first, second) = (run("echo $SHMSYNC_TOKEN"), run("echo $SHMSYNC_TOKEN"));
    let token = |answer: &Answer| answer.out.trim().parse::<u64>().expect("a token");
    assert!(token(&first) < token(&second), "{first:?} {second:?}");
    let mut holding =
        one.start(&["lock", "run", "n", "--", "sh", "-c", "trap 'exit 9' TERM; echo; while :; do sleep 0.1; done"]);
    holding.line();
    assert_eq!(other.code(&["lock", "run", "n", "--timeout", "0", "--", "true"]), 1);
    drop(holding);
    assert_eq!(other.code(&["lock", "run", "n", "--timeout", "1m", "--", "true"]), 0);
}

/// Nobody on the cluster hears of the holder for longer than its session: others may have the lock, so the program ends.
#[test]
fn c11_a_program_is_stopped_when_the_session_is_lost() {
    let world = World::new();
    let Some(server) = Server::start() else { return };
    let store = server.name("jobs?session=2s&timeout=1s");
    for words in [&["lock", "run"][..], &["leader", "run"]] {
        let mut command = world.bare(&["--store", &store]);
        command.args(words).args(["n", "--", "sh", "-c", "echo $$; exec sleep 1000"]);
        let mut run = background(command);
        let pid = run.line();
        assert!(is_alive(&pid));
        server.pause();
        eventually("it is stopped", || !is_alive(&pid));
        server.resume();
        let answer = run.end();
        assert!(answer.code == 1 && answer.err.contains("stopped"), "{words:?}: {answer:?}");
    }
}

#[test]
fn c12_deploys_follow_each_other_and_a_job_runs_once_per_window() {
    hosts!(world, server, one, other);
    let witness = world.path("witness");
    let script = format!("echo in >> {0}; sleep 0.2; echo out >> {0}", witness.display());
    let deploys =
        [&one, &other, &one, &other].map(|host| host.start(&["lock", "run", "deploy", "--", "sh", "-c", &script]));
    assert!(deploys.map(Background::end).iter().all(|answer| answer.code == 0));
    assert_eq!(std::fs::read_to_string(&witness).expect("a witness"), "in\nout\n".repeat(4));
    let ran = [&one, &other].map(|host| host.run(&["once", "job", "--every", "1h", "--", "echo", "ran"]).out);
    assert_eq!(ran.concat(), "ran\n");
}

fn entries(store: &Sync) -> Vec<EncodedEntry> {
    store.read_all_encoded("").expect("entries")
}

/// There and back, at once and in steps, also when it was interrupted.
#[test]
fn values_move_to_a_cluster_and_back() {
    let world = World::new();
    let Some(server) = Server::start() else { return };
    let (near, far) = (world.open(), Sync::open(server.name("far")).expect("a store"));
    let copy = |from: &str, to: &str| answer(world.bare(&["copy", from, to, "--json"]));
    let back = world.path("back").to_str().expect("UTF-8").to_owned();
    for count in [50, 700] {
        for number in 0..count {
            near.set(&format!("key/{number:03}"), &(number, "text".repeat(1_000))).expect("set");
        }
        near.integer("count").set(count).expect("set");
        far.set("old", &1).expect("set");
        let there = copy(&world.store(), &server.name("far"));
        let said = json(&there.out);
        let (copied, removed) = if count == 50 { (51, j!(null)) } else { (701, j!(1)) };
        assert_eq!((&said["copied"], &said["removed"], &said["at_once"]), (&j!(copied), &removed, &j!(count == 50)));
        assert_eq!(there.err.contains("in steps"), count == 700, "{there:?}");
        assert_eq!(entries(&near), entries(&far));
        assert_eq!(copy(&server.name("far"), &back).code, 0);
        assert_eq!(entries(&near), entries(&Sync::open(&back).expect("a store")));
    }
    assert_eq!(Sync::open(&back).expect("a store").integer("count").increment(1).expect("a number"), 701);
    // As if it had been interrupted.
    for number in 100..650 {
        far.remove(&format!("key/{number:03}")).expect("removed");
    }
    far.set("key/003", &"wrong").expect("set");
    assert_eq!(copy(&world.store(), &server.name("far")).code, 0);
    assert_eq!(entries(&near), entries(&far));
    near.set_bytes("huge", &vec![0; 8 << 20]).expect("set");
    let huge = copy(&world.store(), &server.name("far"));
    assert!(huge.code == 2 && huge.err.contains("huge"), "{huge:?}");
}

#[test]
fn a_leader_on_one_host_is_known_on_the_other_and_succeeded_when_killed() {
    hosts!(world, server, one, other);
    let run = |host: &Host<'_>, id: &str| {
        host.start(&["leader", "run", "g", "--id", id, "--", "sh", "-c", "echo $$; exec sleep 1000"])
    };
    let mut first = run(&one, "a");
    let program = first.line();
    let status = json(&other.run(&["leader", "status", "--json"]).out);
    assert!(status.to_string().contains("web1"), "{status}");
    let mut second = run(&other, "b");
    first.signal("KILL");
    second.line();
    signal(&program, "KILL");
    second.signal("TERM");
    assert_eq!(second.end().code, 143);
}
