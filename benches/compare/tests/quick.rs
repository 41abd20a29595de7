//! That the program measures, and that nobody edited what it wrote.

use std::{fs, process::Command};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_shmsync-compare"))
}

/// Reads a number or `null` behind a name.
fn field(line: &str, name: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{name}\": "))?;
    rest.split([',', '}']).next()?.parse().ok()
}

#[test]
fn a_quick_run_measures_both_sides_and_writes_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.json");
    let works = ["get-1k", "increment-2p", "watch-wake"];
    let output = program().args(["--quick", "--json"]).arg(&file).arg("--work").args(works).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = fs::read_to_string(&file).expect("rows");
    for (work, peer) in [("get-1k", "lmdb"), ("get-1k", "hashmap"), ("increment-2p", "lmdb"), ("watch-wake", "bare")] {
        let begin = format!("  {{\"work\": \"{work}\", \"peer\": \"{peer}\", ");
        let row = rows.lines().find(|line| line.starts_with(&begin)).expect("a row");
        let of = |name| field(row, name).expect("a number");
        assert!(
            of("ours_ns") > 0.0 && of("peer_ns") > 0.0 && of("ours_p99_ns") > 0.0 && of("peer_p99_ns") > 0.0,
            "{row}"
        );
        assert!((of("ratio") - of("peer_ns") / of("ours_ns")).abs() < 0.01 * of("ratio") + 0.001, "{row}");
    }
}

#[test]
fn an_unknown_work_is_an_error_that_names_those_there_are() {
    let output = program().args(["--work", "get-2k"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("\"get-2k\"") && said.contains("get-1k"), "{said}");
}

#[test]
fn the_table_in_the_readme_is_as_it_was_written() {
    let output = program().arg("--check-readme").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
