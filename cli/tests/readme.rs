//! Whatever the README says in a block of `sh` or `console` is true. (Its `rust` blocks are tests of the library's
//! documentation.)

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{World, answer};

mod common;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The blocks of the README in one language, in their order.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if found == language {
            blocks.push(block.join("\n") + "\n");
        }
    }
    assert!(!blocks.is_empty(), "the README has no block of {language}");
    blocks
}

/// Stands for the command: bare names become stores of this test.
const SHMSYNC: &str = r#"#!/usr/bin/env bash
arguments=()
while [ $# -gt 0 ]; do
    arguments+=("$1")
    if [ "$1" = --store ] && [[ "$2" != */* ]]; then
        arguments+=("$WORLD/$2")
        shift
    fi
    shift
done
exec "$SHMSYNC" "${arguments[@]}"
"#;

/// Stands for cargo, which nobody can run inside a test of its own: what the README asks of it must exist.
const CARGO: &str = r#"#!/usr/bin/env bash
set -e
case "$*" in
    "run --release -- "*) shift 3; exec shmsync --store demo "$@" ;;
    "run --release -p shmsync-compare --bin "*) test -f "$ROOT/benches/compare/src/bin/$6.rs" ;;
    *) echo "the README calls cargo $*" >&2; exit 2 ;;
esac
"#;

/// A script that runs in a world with these two commands, and programs of the user that do nothing.
fn script(world: &World, text: &str) -> Command {
    let bin = world.path("bin");
    let programs = ["deploy.sh", "encode.sh", "cleanup.sh", "report.sh", "scheduler"].map(|name| (name, "#!/bin/sh\n"));
    let commands = [("shmsync", SHMSYNC), ("cargo", CARGO), ("test.sh", "exec test -x \"$ROOT/test.sh\"\n")];
    for (name, text) in commands.into_iter().chain(programs) {
        let path = if text == SHMSYNC || text == CARGO { bin.join(name) } else { world.path("work").join(name) };
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let mut command = Command::new("bash");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    command.args(["-euo", "pipefail", "-c", text]).stdin(Stdio::null()).current_dir(world.path("work"));
    command.env_clear().env("PATH", path).env("HOME", world.folder()).env("WORLD", world.folder());
    command.env("ROOT", root()).env("SHMSYNC", env!("CARGO_BIN_EXE_shmsync")).env("SHMSYNC_STORE", world.store());
    command
}

#[test]
fn every_sh_block_of_the_readme_runs() {
    let world = World::new();
    for block in blocks("sh") {
        let answer = answer(script(&world, &block));
        assert_eq!(answer.code, 0, "{block}\n{answer:?}");
        assert_eq!(answer.err, "", "{block}");
    }
}

#[test]
fn every_command_of_the_readme_prints_what_stands_there() {
    let world = World::new();
    for block in blocks("console") {
        let mut expected: Vec<(&str, String)> = Vec::new();
        for line in block.lines() {
            match (line.strip_prefix("$ "), expected.last_mut()) {
                (Some(command), _) => expected.push((command, String::new())),
                (None, Some((_, output))) => *output += &format!("{line}\n"),
                (None, None) => panic!("output before any command: {line}"),
            }
        }
        for (command, output) in expected {
            let answer = answer(script(&world, command));
            assert_eq!(answer.out + &answer.err, output, "{command}");
        }
    }
}

#[test]
fn every_link_of_the_readme_and_the_docs_leads_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("a file").path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let anchors = anchors(&text);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = page.parent().expect("a folder").join(path);
            assert!(path.is_empty() || target.exists(), "{}: {link}", page.display());
            assert!(!path.is_empty() || anchors.iter().any(|known| known == anchor), "{}: {link}", page.display());
        }
    }
}

/// What a heading is called in links.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(kept).collect()).collect()
}
