//! The command line.

use std::path::PathBuf;

use crate::{
    failure::{Outcome, fail},
    work::{ALL, Work},
};

pub(crate) struct Args {
    pub(crate) help: bool,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) readme: bool,
    pub(crate) check_readme: bool,
    pub(crate) works: Vec<&'static Work>,
}

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut args =
            Self { help: false, quick: false, json: None, readme: false, check_readme: false, works: vec![] };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-h" | "--help" => args.help = true,
                "--quick" => args.quick = true,
                "--readme" => args.readme = true,
                "--check-readme" => args.check_readme = true,
                "--json" => args.json = Some(words.next().ok_or("--json needs the name of a file")?.into()),
                "--work" => {
                    while let Some(name) = words.next_if(|word| !word.starts_with('-')) {
                        args.works.push(named(&name)?);
                    }
                    if args.works.is_empty() {
                        return fail(format!("--work needs names: {}", names()));
                    }
                }
                _ => return fail(format!("{word:?} is nothing that --help tells of")),
            }
        }
        args.check()
    }

    fn check(mut self) -> Outcome<Self> {
        if self.readme && (self.quick || !self.works.is_empty()) {
            return fail("--readme writes the whole table, measured in full: leave out --quick and --work");
        }
        if self.works.is_empty() {
            self.works.extend(ALL);
        }
        Ok(self)
    }
}

fn named(name: &str) -> Outcome<&'static Work> {
    match ALL.iter().find(|work| work.name == name) {
        Some(work) => Ok(work),
        None => fail(format!("there is no work {name:?}; there are: {}", names())),
    }
}

fn names() -> String {
    ALL.iter().map(|work| work.name).collect::<Vec<_>>().join(", ")
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let works: Vec<String> = ALL.iter().map(|work| format!("  {:<15} {}", work.name, work.what)).collect();
    let works = works.join("\n");
    format!(
        "\
Measures shmsync beside what people use instead, by turns, in one run.

Usage: cargo run --release -p shmsync-compare -- [OPTIONS]

  --quick         fewer and shorter runs, 50,000 keys instead of 1,000,000: to see that it works
  --json FILE     write the rows to a file, too
  --readme        write the table into README.md, too; needs a clean checkout
  --check-readme  only say whether the table in README.md is as it was written; exit code 2 if not
  --work NAME…    only these

Works:
{works}

All files are in a new folder in /dev/shm, which has to have room for about 2 GiB. Keep the machine quiet.
Exit codes: 0 measured, whatever came out; 2 error: a work failed, and the others were measured."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Outcome<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn works_are_all_unless_they_are_named() {
        assert_eq!(parse("--quick").expect("right").works.len(), ALL.len());
        let args = parse("--work get-1k set-1k --json out").expect("right");
        assert_eq!(args.works.iter().map(|work| work.name).collect::<Vec<_>>(), ["get-1k", "set-1k"]);
        assert_eq!(args.json, Some("out".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["--work", "--work nothing", "--json", "--readme --quick", "--readme --work get-1k", "quick"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
