//! Holds `docs/features.md` against the tests there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What a row may wait for.
const LATER: [&str; 5] = ["tasks", "schedules", "time", "events", "dispatch"];

struct Row {
    id: String,
    what: String,
    tests: Vec<String>,
    later: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows that there have to be.
fn wanted() -> BTreeSet<String> {
    let rows = [("A", 1..=16), ("B", 1..=14), ("C", 1..=12), ("D", 1..=15), ("E", 0..=13)];
    let rows = rows.into_iter().flat_map(|(letter, numbers)| numbers.map(move |number| format!("{letter}{number}")));
    let scenarios = (1..=33).chain(37..=38).map(|number| format!("S{number}"));
    rows.chain(scenarios).collect()
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(root().join("docs/features.md")).expect("the table");
    let lines =
        table.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| id"));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [id, what, tests] = columns[..] else { panic!("a row needs three columns: {line}") };
    let later = tests.strip_prefix("later: ").map(str::to_owned);
    let names = tests.split('`').skip(1).step_by(2).map(str::to_owned);
    Row { id: id.to_owned(), what: what.to_owned(), tests: names.collect(), later }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The names of all tests and scenarios, each with the file it stands in.
fn tests() -> BTreeMap<String, PathBuf> {
    let mut files = vec![];
    ["src", "tests", "cli/src", "cli/tests"].iter().for_each(|folder| sources(&root().join(folder), &mut files));
    let mut found = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let is_scenario = ["src/conformance/driver", "src/conformance/handle"]
            .iter()
            .any(|folder| file.starts_with(root().join(folder)));
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let named = line.strip_prefix("pub(crate) fn ").filter(|_| is_scenario);
            let named = named.or_else(|| line.strip_prefix("fn ").filter(|_| is_test));
            if let Some(named) = named {
                let end = named.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(named.len());
                found.insert(named[..end].to_owned(), file.clone());
            }
            is_test = line == "#[test]" || is_test && (line.starts_with("#[") || line.starts_with("//"));
        }
    }
    found
}

/// The row that a test's name begins with: `b8_…` or `scenario_19_…`.
fn row_of(test: &str) -> Option<String> {
    let mut words = test.split('_');
    let first = words.next()?;
    let (letter, number) = match first {
        "scenario" => ("S".to_owned(), words.next()?),
        _ => (first.get(..1)?.to_uppercase(), first.get(1..)?),
    };
    let is_row = "ABCDES".contains(&letter) && !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit());
    is_row.then(|| format!("{letter}{number}"))
}

#[test]
fn every_row_is_there_once() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert!(seen.insert(row.id.clone()), "row {} is there twice", row.id);
        assert!(row.what.len() > 5, "row {} says nothing", row.id);
    }
    let wanted = wanted();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(missing.is_empty(), "rows are missing: {missing:?}");
    let unknown: Vec<_> = seen.difference(&wanted).collect();
    assert!(unknown.is_empty(), "rows that nobody knows: {unknown:?}");
}

#[test]
fn every_row_has_tests_or_waits_for_something() {
    for row in rows() {
        match &row.later {
            Some(what) => assert!(LATER.contains(&what.as_str()), "row {} waits for {what:?}", row.id),
            None => assert!(!row.tests.is_empty(), "row {} has no test", row.id),
        }
    }
}

#[test]
fn every_test_in_the_table_exists() {
    let tests = tests();
    assert!(tests.len() > 200, "only {} tests were found", tests.len());
    for row in rows() {
        for name in &row.tests {
            assert!(tests.contains_key(name), "row {}: there is no test {name}", row.id);
        }
    }
}

#[test]
fn every_test_with_a_row_in_its_name_stands_in_that_row() {
    let rows = rows();
    for (test, file) in tests() {
        let Some(id) = row_of(&test) else { continue };
        let row = rows.iter().find(|row| row.id == id);
        let row = row.unwrap_or_else(|| panic!("{}: {test} names row {id}, which does not exist", file.display()));
        assert!(row.tests.contains(&test), "{}: {test} does not stand in row {id}", file.display());
    }
}

#[test]
fn names_tell_their_rows() {
    assert_eq!(row_of("b8_eight_processes").as_deref(), Some("B8"));
    assert_eq!(row_of("scenario_19_a_limited_reader").as_deref(), Some("S19"));
    assert_eq!(row_of("a_missing_integer"), None);
    assert_eq!(row_of("every_row_is_there_once"), None);
    assert_eq!(row_of("attack_33_a_store"), None);
}
