//! What may stand on the command line.

use std::{ffi::OsString, sync::LazyLock, time::Duration};

use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use crate::{duration, size, verb::Verb};

/// Version of the command and number of the store's format.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (format {})", env!("CARGO_PKG_VERSION"), shmsync::FORMAT));

const AFTER_HELP: &str = "\
Examples:
  shmsync set greeting '\"hello\"' && shmsync get greeting
  shmsync --store progress incr done
  shmsync lock run deploy -- ./deploy.sh
  shmsync demo --kill

Exit codes: 0 done or yes, 1 absent, no, or out of time, 2 error (one line on standard error). Verbs that run a program
exit as it does, and with 125 for errors of their own.
Defaults come from the environment (SHMSYNC_STORE and so on) and from a configuration file: see 'shmsync init --help'.";

/// Typed values, counters, watches, locks and leaders in shared memory, for the processes of one machine
#[derive(Parser)]
#[command(name = "shmsync", version = VERSION.as_str(), after_help = AFTER_HELP)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs", disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of every verb; they may stand anywhere.
#[derive(Args)]
#[command(next_help_heading = "Flags of every verb")]
pub(crate) struct Globals {
    /// The store: a name, a path (with a slash), or a URL [default: default]
    #[arg(long, short, global = true, value_name = "NAME|PATH|URL")]
    pub(crate) store: Option<OsString>,
    /// Put NAME/ before every key
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Answer in JSON (--json=false to undo a configured one)
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) json: Option<bool>,
    /// Say on standard error what is done
    #[arg(long, short, global = true, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
    /// Wait at most so long: for a lock, or a store that somebody uses exclusively (500ms, 1.5s, 10, 2m, 1h)
    #[arg(long, global = true, value_name = "D", value_parser = duration::parse, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
    /// What `ps` and `lock status` show beside this process
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Permissions of a store that is created, in octal [default: 0600]
    #[arg(long, global = true, value_name = "MODE", value_parser = size::parse_mode)]
    pub(crate) mode: Option<u32>,
    /// How large a store that is created may grow (64M, 2G)
    #[arg(long, global = true, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) capacity: Option<u64>,
    /// Open a store although this other user owns it, or could tamper with it
    #[arg(long, global = true, value_name = "UID")]
    pub(crate) trust_owner: Option<u32>,
    /// Open a store on a network file system; only this machine will see it change
    #[arg(long, global = true)]
    pub(crate) allow_network_fs: bool,
}

impl Cli {
    /// Reads the command line.
    ///
    /// clap copies the flags of every verb into each of them, which takes longer than most verbs do. So only the verb that seems
    /// to be asked for is there at first; whatever is then wrong, or wants to be helped, is read again with all of them.
    pub(crate) fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let verbs = Verb::augment_subcommands(Command::new("verbs"));
        let verb = words.iter().skip(1).find_map(|word| verbs.find_subcommand(word));
        let matched = verb.and_then(|verb| {
            let command = Command::new("shmsync").subcommand_required(true).subcommand(verb.clone());
            Globals::augment_args(command).try_get_matches_from(words).ok()
        });
        match matched {
            Some(matched) => Self::from_arg_matches(&matched),
            None => Self::try_parse_from(words),
        }
    }
}

/// A one-line form of what clap has to say about a wrong command line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    if matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        return "no verb was given; see 'shmsync --help'".into();
    }
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let join = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = join(paragraphs.next().unwrap_or_default());
    let mut line = first.strip_prefix("error: ").unwrap_or(&first).replace("subcommand", "verb");
    let tips = paragraphs.clone().filter(|paragraph| paragraph.trim_start().starts_with("tip: "));
    for tip in tips {
        line += &join(tip).replacen("tip: ", "; ", 1).replace("subcommand", "verb");
    }
    let usage = paragraphs.find_map(|paragraph| paragraph.trim_start().strip_prefix("Usage: "));
    let words = usage.unwrap_or_default().split_whitespace().skip(1).take(2);
    let verbs = words.take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let verbs: String = verbs.map(|verb| format!(" {verb}")).collect();
    line + &format!("; see 'shmsync{verbs} --help'")
}

/// Whether a wrong command line names a verb that runs a program: such a program may itself exit with 2.
pub(crate) fn names_a_runner(words: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = words.take_while(|word| word != "--").collect();
    let mut command = Cli::command();
    command.build();
    let Some(at) = words.iter().position(|word| command.find_subcommand(word).is_some()) else { return false };
    let next = words[at + 1..].iter().any(|word| word == "run");
    words[at] == "once" || next && (words[at] == "lock" || words[at] == "leader")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(words: &[&str]) -> String {
        let error = Cli::try_parse_from([&["shmsync"], words].concat()).err().expect("refused");
        one_line(&error)
    }

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_text_has_an_example_and_the_exit_codes() {
        fn look(command: &mut clap::Command) {
            for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
                let help = verb.render_long_help().to_string();
                assert!(help.contains("Example") && help.contains("Exit codes:"), "{help}");
                look(verb);
            }
        }
        look(&mut Cli::command());
    }

    #[test]
    fn flags_may_stand_anywhere() {
        for words in [["--store", "s", "get", "k"], ["get", "--store", "s", "k"], ["get", "k", "--store", "s"]] {
            let cli = Cli::try_parse_from([&["shmsync"][..], &words].concat()).expect("accepted");
            assert_eq!(cli.globals.store, Some("s".into()));
        }
    }

    #[test]
    fn a_verb_is_known_whatever_else_is_called_like_one() {
        type Case<'a> = (&'a [&'a str], fn(&Verb) -> bool);
        let cases: [Case<'_>; 5] = [
            (&["--store", "get", "set", "k", "1"], |verb| matches!(verb, Verb::Set(_))),
            (&["--label=set", "get", "k", "--store", "get"], |verb| matches!(verb, Verb::Get(_))),
            (&["--label", "lock", "rm", "set"], |verb| matches!(verb, Verb::Remove(_))),
            (&["ls", "keys"], |verb| matches!(verb, Verb::Keys(_))),
            (&["get", "set", "--store", "get"], |verb| matches!(verb, Verb::Get(_))),
        ];
        for (words, is_meant) in cases {
            let words: Vec<OsString> = ["shmsync"].iter().chain(words).map(OsString::from).collect();
            let cli = Cli::read(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert!(is_meant(&cli.verb), "{words:?}");
            assert_eq!(cli.globals.store.is_some(), words.contains(&"--store".into()), "{words:?}");
        }
        for words in
            [&["shmsync"][..], &["shmsync", "get"], &["shmsync", "--store", "get"], &["shmsync", "get", "--help"]]
        {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let (told, whole) = (Cli::read(&words).err(), Cli::try_parse_from(&words).err());
            assert_eq!(told.map(|error| error.to_string()), whole.map(|error| error.to_string()));
        }
    }

    #[test]
    fn a_wrong_command_line_is_one_line_with_a_next_step() {
        let cases: [(&[&str], &str); 11] = [
            (&["lock", "set"], "<NAME>"),
            (&["lock", "set", "n", "--ttl", "0"], "longer than 0"),
            (&["lock", "free", "n", "--token", "x"], "no token"),
            (&["lock", "run", "n", "--semaphore", "0", "--", "true"], "--semaphore"),
            (&["get"], "<KEY>"),
            (&["wacth", "k"], "'watch'"),
            (&["get", "k", "--stroe", "x"], "--store"),
            (&["incr", "k", "many"], "many"),
            (&["set", "k", "v", "--ttl", "soon"], "500ms"),
            (&["demo", "--workers", "0"], "--workers"),
            (&[], "no verb"),
        ];
        for (words, part) in cases {
            let line = complaint(words);
            assert!(line.contains(part) && line.contains("--help'") && !line.contains('\n'), "{line}");
        }
        assert!(complaint(&["lock", "run", "n"]).ends_with("; see 'shmsync lock run --help'"));
    }

    #[test]
    fn verbs_that_run_programs_are_known_by_wrong_command_lines_too() {
        let is_runner = |words: &[&str]| names_a_runner(words.iter().map(OsString::from));
        assert!(is_runner(&["lock", "run", "n", "--nonsense"]) && is_runner(&["--store", "s", "once", "n"]));
        assert!(is_runner(&["leader", "--json", "run"]));
        assert!(!is_runner(&["lock", "set", "n", "--nonsense"]) && !is_runner(&["get", "--", "once"]));
        assert!(!is_runner(&["get", "once"]) && !is_runner(&[]));
    }
}
