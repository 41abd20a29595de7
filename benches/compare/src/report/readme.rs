//! The table in the README, and whether it is still what this program wrote.

use std::fs;

use super::{
    Machine, Report,
    machine::is_ancestor,
    text::{figure, percent, ratio, target, verdict},
};
use crate::{
    bench::{Bench, SEED},
    failure::{Outcome, fail},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const BEGIN: &str = "<!-- compare: begin, written by `shmsync-compare --readme` -->\n";
const END: &str = "<!-- compare: end -->\n";
/// What stands between the markers before anything was measured.
const NOTHING: &str = "<!-- compare: nothing measured yet -->\n";
const SEAL: &str = "<!-- compare: commit ";

/// Writes the table between the markers, as figures of that commit.
pub(crate) fn write_readme(bench: &Bench, report: &Report, commit: &str) -> Outcome<()> {
    let body = body(bench, report, commit);
    let seal = format!("{SEAL}{commit} checksum {:016x} -->\n", checksum(&body));
    let readme = fs::read_to_string(README)?;
    let (before, _, after) = parts(&readme)?;
    fs::write(README, format!("{before}{BEGIN}{body}{seal}{END}{after}"))?;
    println!("the table is in README.md now");
    Ok(())
}

/// Whether the table was written by this program, and measured on one of the commits that led here.
pub(crate) fn check_readme() -> Outcome<String> {
    check(&fs::read_to_string(README)?, is_ancestor)
}

fn check(readme: &str, is_ancestor: impl Fn(&str) -> Option<bool>) -> Outcome<String> {
    let (_, table, _) = parts(readme)?;
    if table == NOTHING {
        return Ok("README.md has no table yet".to_owned());
    }
    let advice = "write it anew with `cargo run --release -p shmsync-compare -- --readme`";
    let sealed = table.rfind(SEAL).map(|at| table.split_at(at));
    let words = sealed.map(|(body, seal)| (body, seal.split_whitespace().collect::<Vec<_>>()));
    let Some((body, [_, _, _, commit, _, sum, _])) = words.as_ref().map(|(body, words)| (*body, &words[..])) else {
        return fail(format!("README.md: below the table is no line with commit and checksum: {advice}"));
    };
    if *sum != format!("{:016x}", checksum(body)) || !body.contains(&format!("`{}`", short(commit))) {
        return fail(format!("README.md: the table was edited by hand: {advice}"));
    }
    match is_ancestor(commit) {
        Some(true) => Ok(format!("the table in README.md is of commit {} and untouched", short(commit))),
        Some(false) => fail(format!("README.md: commit {commit} of the table did not lead to this one: {advice}")),
        None => Ok("the table in README.md is untouched; of which commit it is cannot be checked here".to_owned()),
    }
}

/// What is before, between and after the markers.
fn parts(readme: &str) -> Outcome<(&str, &str, &str)> {
    let found = readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
    match found {
        Some((before, (table, after))) => Ok((before, table, after)),
        None => fail(format!("README.md: the markers of the table are missing: {} … {}", BEGIN.trim(), END.trim())),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn body(bench: &Bench, report: &Report, commit: &str) -> String {
    let machine = Machine::here();
    let mut lines = vec![
        format!("{}, {}. Peers: {}.", machine.processor, machine.kernel, machine.peers),
        format!(
            "“1k” is 1,000 keys, “1m” 1,000,000, of 12 bytes each; values of 64 bytes unless told otherwise; medians of {} runs \
             by turns of about {} ms each; seed {SEED:#x}; commit `{}`.",
            bench.runs,
            bench.slice.as_millis(),
            short(commit),
        ),
        String::new(),
        "| work | beside | shmsync | peer | ratio | target | | p99 | peer's p99 |".to_owned(),
        "|---|---|--:|--:|--:|---|---|--:|--:|".to_owned(),
    ];
    lines.extend(report.rows.iter().map(line));
    lines.extend(
        report.not_installed.iter().map(|(work, peer)| format!("| {work} | {peer} | | not installed | | | | | |")),
    );
    lines.push(String::new());
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn line(row: &crate::row::Row) -> String {
    let p99 = |p99: Option<f64>| p99.map_or(String::new(), |p99| figure(p99, row.unit));
    let columns = [
        row.work.to_owned(),
        row.peer.to_owned(),
        format!("{} ± {}", figure(row.ours.median(), row.unit), percent(row.ours.spread())),
        format!("{} ± {}", figure(row.theirs.median(), row.unit), percent(row.theirs.spread())),
        ratio(row.ratio()),
        target(row.target),
        verdict(row).to_owned(),
        p99(row.ours.p99()),
        p99(row.theirs.p99()),
    ];
    format!("| {} |", columns.join(" | "))
}

/// FNV-1a: against fingers, not against forgers.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn readme(body: &str) -> String {
        let seal = format!("{SEAL}{COMMIT} checksum {:016x} -->\n", checksum(body));
        format!("# Title\n{BEGIN}{body}{seal}{END}The rest.\n")
    }

    #[test]
    fn a_table_that_was_written_is_believed() {
        let readme = readme("commit `0123456789ab`\n\n| get | 1 ns |\n");
        assert!(check(&readme, |commit| Some(commit == COMMIT)).is_ok());
        assert!(check(&readme, |_| None).is_ok());
        assert!(check(&format!("{BEGIN}{NOTHING}{END}"), |_| Some(false)).is_ok());
    }

    #[test]
    fn a_table_that_was_edited_is_not_and_neither_is_one_of_elsewhere() {
        let good = readme("commit `0123456789ab`\n\n| get | 2 ns |\n");
        let message = |readme: &str, ancestor| match check(readme, |_| Some(ancestor)) {
            Ok(found) => panic!("believed: {found}"),
            Err(error) => error.to_string(),
        };
        assert!(message(&good.replace("2 ns", "1 ns"), true).contains("edited by hand"));
        assert!(message(&good.replace(COMMIT, &COMMIT.replace('0', "1")), true).contains("edited by hand"));
        assert!(message(&good.replace(SEAL, "<!-- "), true).contains("no line with commit"));
        assert!(message(&good.replace(END, ""), true).contains("markers"));
        assert!(message(&good, false).contains("did not lead to this one"));
    }
}
