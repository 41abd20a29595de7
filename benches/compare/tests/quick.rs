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

/// All works but the one that has cargo build the command.
fn works() -> Vec<String> {
    let output = program().arg("--help").output().expect("it runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let (_, list) = help.split_once("Works:\n").expect("a list of works");
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    names.filter(|&name| name != "cli-incr-alone").map(str::to_owned).collect()
}

#[test]
fn a_quick_run_measures_both_sides_of_every_work_and_writes_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, works) = (folder.path().join("rows.json"), works());
    let output = program().args(["--quick", "--json"]).arg(&file).arg("--work").args(&works).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = fs::read_to_string(&file).expect("rows");
    assert!(works.len() > 20);
    for work in works {
        let begin = format!("  {{\"work\": \"{work}");
        let rows: Vec<&str> = rows.lines().filter(|line| line.starts_with(&begin)).collect();
        assert!(!rows.is_empty(), "{work} has no row");
        for row in rows {
            let of = |name| field(row, name).unwrap_or_else(|| panic!("no {name}: {row}"));
            assert!(of("ours_ns") > 0.0 && of("peer_ns") > 0.0, "{row}");
            // Rounded to three digits after the point.
            let (ratio, quotient) = (of("ratio"), of("peer_ns") / of("ours_ns"));
            assert!((ratio - quotient).abs() < 0.01 * ratio + 0.001, "{row}");
        }
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
