//! Bad input: exit code 2, one line that names key or path and a next step, nothing created, nothing changed.
//!
//! `snapshots/bad_input.txt` holds every line; `UPDATE_SNAPSHOTS=1 cargo test --test bad_input` writes it anew.

mod common;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::{FileTypeExt, chown},
    path::Path,
    process::Command,
};

use common::{World, answer};

/// What every message may ask the reader to do.
const NEXT_STEPS: [&str; 26] = [
    "see 'shmsync",
    "use ",
    "give ",
    "check ",
    "remove ",
    "name ",
    "write ",
    "correct ",
    "open ",
    "store ",
    "shorten ",
    "destroy ",
    "needs ",
    "set ",
    "read ",
    "leave ",
    "choose ",
    "create ",
    "pass ",
    "try ",
    "dump ",
    "load ",
    "trust",
    "move ",
    "delete ",
    "pick ",
];

/// Everything below a folder: kind and content. Of the sound store only that it is there: attaching to it writes down
/// who is attached. Its content is compared at the end.
fn photograph(dir: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        let metadata = path.symlink_metadata().expect("there");
        let name = path.to_str().expect("UTF-8").to_owned();
        if metadata.is_dir() {
            seen.extend(photograph(&path));
            seen.insert(name, "folder".into());
        } else if metadata.file_type().is_fifo() {
            seen.insert(name, "fifo".into());
        } else {
            let content = if name.ends_with("/sound") || metadata.is_symlink() {
                vec![]
            } else {
                fs::read(&path).expect("readable")
            };
            seen.insert(name, format!("{:?} {}", metadata.permissions(), digest(&content)));
        }
    }
    seen
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Files that are no stores, or not any more, or not ours.
fn prepare(world: &World) {
    let sound = world.path("sound");
    let sound = sound.to_str().expect("UTF-8");
    assert_eq!(answer(world.bare(&["--store", sound, "--capacity", "4M", "set", "text", "hello"])).code, 0);
    assert_eq!(answer(world.bare(&["--store", sound, "set", "max", &i64::MAX.to_string()])).code, 0);
    let bytes = fs::read(sound).expect("readable");
    world.write("other", "these are other bytes\n".repeat(1_000));
    world.write("short", "x");
    world.write("truncated", &bytes[..bytes.len() / 2]);
    world.write("header-only", &bytes[..100]);
    let mut damaged = bytes.clone();
    damaged[40..60].fill(0xee);
    world.write("damaged", damaged);
    world.write("foreign", &bytes);
    world.write("bad.json", "{\"a\": 1, \"b\": }");
    world.write("bad.toml", "stroe = \"x\"\n");
    fs::create_dir(world.path("folder")).expect("made");
    assert!(Command::new("mkfifo").arg(world.path("fifo")).status().expect("it exists").success());
    std::os::unix::fs::symlink(sound, world.path("link")).expect("linked");
}

/// Subject that the message names, then the command line.
fn cases() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut cases: Vec<(&str, Vec<&str>)> = Vec::new();
    for store in
        ["other", "short", "truncated", "header-only", "damaged", "foreign", "folder", "fifo", "link", "nowhere/store"]
    {
        let path: &'static str = String::leak(format!("./{store}"));
        cases.push((path, vec!["--store", path, "set", "k", "1"]));
        if store != "nowhere/store" {
            cases.push((path, vec!["--store", path, "get", "k"]));
        }
    }
    for store in ["/dev/null", "/dev/zero", "/proc/self/status", "", ".", "x/", "sp\u{0007}am"] {
        let named = if store.contains('\u{0007}') { "am" } else { store };
        cases.push((named, vec!["--store", store, "set", "k", "1"]));
    }
    for (subject, mut args) in about_values().into_iter().chain(about_locks()) {
        if !args.contains(&"--store") {
            args.extend(["--store", "./sound"]);
        }
        cases.push((subject, args));
    }
    cases
}

fn about_values() -> Vec<(&'static str, Vec<&'static str>)> {
    let long = String::leak("k".repeat(65_537));
    vec![
        ("key", vec!["set", "", "1"]),
        ("key", vec!["get", ""]),
        ("kkkkkkkkkk", vec!["set", long, "1"]),
        ("\"k\"", vec!["set", "k", "123456789012345678901234567890"]),
        ("\"k\"", vec!["set", "k", "{\"$bytes\": 1}"]),
        ("\"k\"", vec!["get", "k", "--default", "{\"$f64\": \"huge\"}"]),
        ("--ttl", vec!["set", "k", "1", "--ttl", "0"]),
        ("--ttl", vec!["set", "k", "1", "--ttl", "soon"]),
        ("--ttl", vec!["set", "k", "1", "--ttl", "-1"]),
        ("--timeout", vec!["get", "k", "--timeout", "1w"]),
        ("--mode", vec!["set", "k", "1", "--mode", "999"]),
        ("--capacity", vec!["set", "k", "1", "--capacity", "lots"]),
        ("--trust-owner", vec!["set", "k", "1", "--trust-owner", "root"]),
        ("text", vec!["incr", "text"]),
        ("max", vec!["incr", "max"]),
        ("[BY]", vec!["incr", "text", "1.5"]),
        ("[BY]", vec!["incr", "n", "99999999999999999999"]),
        ("bad.json", vec!["load", "bad.json"]),
        ("nowhere.json", vec!["load", "nowhere.json"]),
        ("folder", vec!["load", "folder"]),
        ("nowhere/dump", vec!["dump", "--output", "nowhere/dump"]),
        ("folder", vec!["dump", "--output", "folder"]),
        ("--format", vec!["dump", "--format", "xml"]),
        ("\"n\"", vec!["decr", "n", "-9223372036854775808", "--store", "./fresh"]),
        ("<KEY>", vec!["watch"]),
        ("key", vec!["watch", ""]),
        ("other", vec!["man", "other"]),
        ("SHELL", vec!["completions", "ksh93"]),
        ("nowhere", vec!["demo", "nowhere"]),
        ("other", vec!["demo", "other"]),
        ("./other", vec!["demo", "folder", "--store", "./other"]),
        ("key", vec!["set", "", "1", "--store", "./fresh"]),
        ("key", vec!["watch", "", "--store", "./fresh"]),
        ("./fresh", vec!["set", "k", "1", "--capacity", "1", "--store", "./fresh"]),
        ("./fresh", vec!["set", "k", "1", "--capacity", "1000T", "--store", "./fresh"]),
        ("--workers", vec!["demo", "--workers", "0"]),
        ("--namespace", vec!["demo", "--namespace", "x"]),
        ("memory:", vec!["demo", "--store", "memory:x"]),
        ("--frob", vec!["get", "k", "--frob"]),
        ("get2", vec!["get2"]),
        ("verb", vec![]),
    ]
}

fn about_locks() -> Vec<(&'static str, Vec<&'static str>)> {
    let name = String::leak("n".repeat(256));
    vec![
        ("lock", vec!["lock", "set", "", "--store", "./fresh"]),
        ("lock", vec!["lock", "set", "be\u{7}ll", "--store", "./fresh"]),
        ("nnnnnnnnnn", vec!["lock", "set", name, "--store", "./fresh"]),
        ("--ttl", vec!["lock", "set", "n", "--ttl", "0.1ms", "--store", "./fresh"]),
        ("--token", vec!["lock", "free", "n", "--token", "x"]),
        ("--token", vec!["lock", "free", "n", "--token", "0"]),
        ("\"n\"", vec!["lock", "set", "n", "--owner", "a", "--die-with-owner", "--store", "./fresh"]),
        ("owner", vec!["lock", "set", "n", "--owner", "", "--store", "./fresh"]),
        ("label", vec!["lock", "set", "n", "--owner", "be\u{7}ll", "--store", "./fresh"]),
        ("lock", vec!["lock", "wait", ""]),
        ("lock", vec!["lock", "free", ""]),
        ("leader", vec!["leader", "follow", "", "--store", "./fresh"]),
        ("verb", vec!["lock"]),
        ("sett", vec!["lock", "sett", "n"]),
        ("./other", vec!["lock", "set", "n", "--store", "./other"]),
        ("./damaged", vec!["lock", "status", "--store", "./damaged"]),
    ]
}

#[test]
fn every_wrong_input_is_one_line_with_a_subject_and_a_next_step_and_changes_nothing() {
    let world = World::new();
    prepare(&world);
    let is_root = chown(world.path("foreign"), Some(65_534), None).is_ok();
    let before = photograph(world.folder());
    let mut snapshot = String::new();
    for (subject, args) in cases() {
        if args.contains(&"./foreign") && !is_root {
            continue;
        }
        let answer = answer(world.bare(&args));
        let line = answer.err.replace(world.folder().to_str().expect("UTF-8"), "FOLDER");
        let shown: Vec<String> = args.iter().map(|arg| arg.chars().take(40).collect()).collect();
        let context = format!("{shown:?}: {answer:?}");
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{context}");
        assert_eq!(line.lines().count(), 1, "{context}");
        assert!(line.starts_with("shmsync: ") && line.contains(subject.trim_start_matches("./")), "{context}");
        assert!(NEXT_STEPS.iter().any(|step| line.contains(step)), "no next step: {context}");
        let after = photograph(world.folder());
        let changed: Vec<_> = after.iter().filter(|entry| before.get(entry.0) != Some(entry.1)).collect();
        assert!(changed.is_empty() && after.len() == before.len(), "{changed:?}: {context}");
        if !args.contains(&"./foreign") {
            writeln!(snapshot, "{shown:?}\n    {}", line.trim_end()).expect("memory");
        }
    }
    // What bears our magic can be removed, damaged or not; what does not stays.
    for (store, code) in [("./damaged", 0), ("./truncated", 0), ("./header-only", 0), ("./other", 2), ("./folder", 2)] {
        let gone = answer(world.bare(&["--store", store, "destroy"]));
        assert_eq!((gone.code, world.path(store).exists()), (code, code == 2), "{store}: {gone:?}");
    }
    let sound = answer(world.bare(&["--store", "./sound", "dump"])).out;
    assert_eq!(sound, format!("{{\n  \"max\": {},\n  \"text\": \"hello\"\n}}\n", i64::MAX));
    compare(&snapshot);
}

/// Verbs that run programs have an exit code of their own, and run nothing.
#[test]
fn wrong_input_to_a_verb_that_runs_programs_is_125_and_runs_nothing() {
    let world = World::new();
    prepare(&world);
    let before = photograph(world.folder());
    for (subject, args) in [
        ("lock", vec!["lock", "run", "", "--store", "./fresh"]),
        ("--semaphore", vec!["lock", "run", "n", "--semaphore", "0", "--store", "./fresh"]),
        ("--semaphore", vec!["lock", "run", "n", "--semaphore", "2", "--shared", "--store", "./fresh"]),
        ("--conflict-exit-code", vec!["lock", "run", "n", "-E", "256", "--store", "./fresh"]),
        ("--timeout", vec!["lock", "run", "n", "--timeout", "soon", "--store", "./fresh"]),
        ("--every", vec!["once", "n", "--every", "0", "--store", "./fresh"]),
        ("--every", vec!["once", "n", "--store", "./fresh"]),
        ("lock", vec!["once", "", "--every", "1h", "--store", "./fresh"]),
        ("n", vec!["leader", "run", "n", "--ttl", "1ms", "--store", "./fresh"]),
        ("candidate", vec!["leader", "run", "n", "--id", "", "--store", "./fresh"]),
        ("leader", vec!["leader", "run", "", "--store", "./fresh"]),
        ("other", vec!["lock", "run", "n", "--store", "./other"]),
        ("damaged", vec!["leader", "run", "n", "--store", "./damaged"]),
        ("nowhere", vec!["once", "n", "--every", "1h", "--store", "./nowhere/store"]),
    ] {
        let answer = answer(world.bare(&[&args[..], &["--", "touch", "ran"]].concat()));
        assert_eq!((answer.code, &*answer.out), (125, ""), "{args:?}: {answer:?}");
        assert!(answer.err.lines().count() == 1 && answer.err.contains(subject), "{args:?}: {answer:?}");
        assert!(NEXT_STEPS.iter().any(|step| answer.err.contains(step)), "no next step: {args:?}: {answer:?}");
        assert!(photograph(world.folder()) == before, "{args:?}");
    }
}

/// Environment and configuration file as well.
#[test]
fn wrong_settings_name_where_they_come_from() {
    let world = World::new();
    prepare(&world);
    let bad = world.path("bad.toml");
    let bad = bad.to_str().expect("UTF-8");
    for (variable, value, subject) in [
        ("SHMSYNC_CONFIG", bad, "\"stroe\""),
        ("SHMSYNC_CONFIG", "/nowhere/x.toml", "/nowhere/x.toml"),
        ("SHMSYNC_TTL", "0", "SHMSYNC_TTL"),
        ("SHMSYNC_JSON", "perhaps", "SHMSYNC_JSON"),
    ] {
        let mut command = world.bare(&["get", "text", "--store", "./sound"]);
        command.env(variable, value);
        let answer = answer(command);
        assert!(answer.code == 2 && answer.err.contains(subject) && answer.err.lines().count() == 1, "{answer:?}");
    }
}

/// What is wrong depends on what was built.
#[test]
fn a_cluster_without_an_address_is_told_what_is_missing() {
    let world = World::new();
    let answer = answer(world.bare(&["set", "k", "1", "--store", "etcd://"]));
    let next = if cfg!(feature = "etcd") { "/PREFIX" } else { "feature" };
    assert!(answer.code == 2 && answer.err.contains(next) && answer.err.lines().count() == 1, "{answer:?}");
}

fn compare(snapshot: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/bad_input.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, snapshot).expect("written");
    }
    let expected = fs::read_to_string(&path).expect("the snapshot exists");
    for (line, (now, then)) in snapshot.lines().zip(expected.lines()).enumerate() {
        assert_eq!(now, then, "line {} of {}", line + 1, path.display());
    }
    assert_eq!(snapshot.lines().count(), expected.lines().count(), "{}", path.display());
}
