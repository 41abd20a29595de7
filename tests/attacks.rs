//! Holds the table of attacks, `docs/reliability-attacks.md`, against the tests, models and operations that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The row that needs no test, and says why.
const NO_SUCH_CALL: u32 = 28;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Row {
    attack: u32,
    shown_by: String,
}

impl Row {
    /// What stands in backticks.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.shown_by.split('`').skip(1).step_by(2)
    }
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(root().join("docs/reliability-attacks.md")).expect("the table");
    let lines = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack |"));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [attack, _, shown_by] = columns[..] else { panic!("a row needs three columns: {line}") };
    Row { attack: attack.parse().expect("a number"), shown_by: shown_by.to_owned() }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// All tests and models, each with the file it stands in, and all operations of `kill_points`.
fn there_is() -> (BTreeMap<String, PathBuf>, BTreeSet<String>) {
    let mut files = vec![];
    ["src", "tests", "cli/src", "cli/tests"].iter().for_each(|folder| sources(&root().join(folder), &mut files));
    let (mut tests, mut operations) = (BTreeMap::new(), BTreeSet::from(["kill_points: recovery".to_owned()]));
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let is_scenario = file.starts_with(root().join("src/conformance"));
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let named = line.strip_prefix("pub(crate) fn ").filter(|_| is_scenario);
            if let Some(named) = named.or_else(|| line.strip_prefix("fn ").filter(|_| is_test)) {
                let end = named.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(named.len());
                tests.insert(named[..end].to_owned(), file.clone());
            }
            is_test = line == "#[test]" || is_test && (line.starts_with("#[") || line.starts_with("//"));
            if file.starts_with(root().join("tests/kill_points"))
                && let Some((_, named)) = line.split_once("name: \"").or_else(|| line.split_once("NAME: &str = \""))
            {
                operations.insert(format!("kill_points: {}", named.split('"').next().unwrap_or_default()));
            }
        }
    }
    (tests, operations)
}

/// The number in `attack_33_a_store…` or `loom_14_nothing…`.
fn number_of(test: &str) -> Option<u32> {
    let rest = test.strip_prefix("attack_").or_else(|| test.strip_prefix("loom_"))?;
    rest.split('_').next()?.parse().ok()
}

#[test]
fn every_attack_is_there_once() {
    let numbers: Vec<u32> = rows().iter().map(|row| row.attack).collect();
    assert_eq!(numbers, (1..=48).collect::<Vec<_>>());
}

#[test]
fn every_attack_is_shown_to_fail_by_something_that_exists() {
    let (tests, operations) = there_is();
    assert!(tests.len() > 200 && operations.len() > 30, "{} tests, {} operations", tests.len(), operations.len());
    for row in rows() {
        assert!(row.attack == NO_SUCH_CALL || row.names().count() > 0, "attack {} has no test", row.attack);
        for name in row.names() {
            let exists = tests.contains_key(name) || operations.contains(name);
            assert!(exists, "attack {}: there is no test, model or operation {name:?}", row.attack);
        }
    }
}

#[test]
fn every_test_that_names_an_attack_names_one_that_is_shown() {
    let rows = rows();
    for (test, file) in there_is().0 {
        let Some(number) = number_of(&test) else { continue };
        let row = rows.iter().find(|row| row.attack == number);
        let row = row.unwrap_or_else(|| panic!("{}: {test} names an attack that there is not", file.display()));
        let known = row.names().any(|name| number_of(name) == Some(number));
        assert!(known, "{}: {test} is about attack {number}, whose row names no such test", file.display());
    }
}

#[test]
fn names_tell_their_attacks() {
    assert_eq!(number_of("attack_33_a_store_taken_away"), Some(33));
    assert_eq!(number_of("loom_2_a_dead_waker"), Some(2));
    assert_eq!(number_of("loom_two_exclude_each_other"), None);
    assert_eq!(number_of("a_closure_never_sees"), None);
}
