//! `info`: figures about a store.

use clap::{Args, ValueEnum};
use serde_json::json;
use shmsync::Stats;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync info
  shmsync info --format prometheus > /var/lib/node_exporter/shmsync.prom

--format prometheus gives these stable names, each with the label store (the path):
  shmsync_info{driver,format,mode}   always 1
  shmsync_entries                    entries that count
  shmsync_capacity_bytes             how large the store may grow
  shmsync_allocated_bytes            what it takes from the system
  shmsync_used_bytes                 what records and indexes use
  shmsync_shards                     independent parts
  shmsync_participants               attached processes
  shmsync_recoveries_total           how often unfinished work of a dead process was recovered

Exit codes: 0 printed, 1 no such store, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Info {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Prometheus,
}

impl Info {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let store = context.open_present(true)?;
        let stats = store.stats()?;
        match self.format {
            Format::Prometheus => context.out.raw(prometheus(&stats).as_bytes())?,
            Format::Text if !context.json() => text(&stats).iter().try_for_each(|line| context.out.line(line))?,
            Format::Text | Format::Json => context.out.json(&json(&stats))?,
        }
        Ok(Outcome::Yes)
    }
}

fn mode(stats: &Stats) -> String {
    format!("{:04o}", stats.mode)
}

fn text(stats: &Stats) -> Vec<String> {
    let lines = [
        ("store", stats.path.clone()),
        ("driver", stats.driver.to_owned()),
        ("format", stats.format.to_string()),
        ("mode", mode(stats)),
        ("entries", stats.entries.to_string()),
        ("capacity bytes", stats.capacity_bytes.to_string()),
        ("allocated bytes", stats.allocated_bytes.to_string()),
        ("used bytes", stats.used_bytes.to_string()),
        ("shards", stats.shards.to_string()),
        ("participants", stats.participants.to_string()),
        ("recoveries", stats.recoveries.to_string()),
    ];
    lines.iter().map(|(name, value)| format!("{name:16} {value}")).collect()
}

fn json(stats: &Stats) -> serde_json::Value {
    json!({
        "store": stats.path,
        "driver": stats.driver,
        "format": stats.format,
        "mode": mode(stats),
        "entries": stats.entries,
        "capacity_bytes": stats.capacity_bytes,
        "allocated_bytes": stats.allocated_bytes,
        "used_bytes": stats.used_bytes,
        "shards": stats.shards,
        "participants": stats.participants,
        "recoveries": stats.recoveries,
    })
}

fn prometheus(stats: &Stats) -> String {
    let store = escape(&stats.path);
    let mut text = format!(
        "# HELP shmsync_info What kind of store it is.\n# TYPE shmsync_info gauge\n\
         shmsync_info{{store=\"{store}\",driver=\"{}\",format=\"{}\",mode=\"{}\"}} 1\n",
        escape(stats.driver),
        stats.format,
        mode(stats),
    );
    let figures = [
        ("entries", "gauge", "Entries that count.", stats.entries),
        ("capacity_bytes", "gauge", "How large the store may grow.", stats.capacity_bytes),
        ("allocated_bytes", "gauge", "What the store takes from the system.", stats.allocated_bytes),
        ("used_bytes", "gauge", "What records and indexes use.", stats.used_bytes),
        ("shards", "gauge", "Independent parts of the store.", stats.shards.into()),
        ("participants", "gauge", "Attached processes.", stats.participants.into()),
        ("recoveries_total", "counter", "Unfinished work of dead processes that was recovered.", stats.recoveries),
    ];
    for (name, kind, help, value) in figures {
        text += &format!(
            "# HELP shmsync_{name} {help}\n# TYPE shmsync_{name} {kind}\nshmsync_{name}{{store=\"{store}\"}} {value}\n"
        );
    }
    text
}

/// A label's value as Prometheus wants it.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_lines_have_help_type_and_an_escaped_label() {
        let mut stats = Stats::default();
        stats.path = "a\"b\\c\nd".into();
        stats.entries = 7;
        let text = prometheus(&stats);
        assert!(text.contains("\nshmsync_entries{store=\"a\\\"b\\\\c\\nd\"} 7\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE")).count(), 8);
        assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("shmsync_")));
    }
}
