//! All works by name, in the order of the table.

#[cfg(feature = "etcd")]
use super::cluster;
use super::{
    attach, command, counter, hot, idle, insert, large, lock, memory, scan, tails, transaction, turns, two, typed,
    values, wake,
};
use crate::{bench::Bench, failure::Outcome, report::Report};

/// A work: measures itself beside each of its peers.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Bench, &mut Report) -> Outcome<()>,
}

const fn work(name: &'static str, what: &'static str, run: fn(&Bench, &mut Report) -> Outcome<()>) -> Work {
    Work { name, what, run }
}

pub(crate) const ALL: &[Work] = &[
    work("get-one", "read 64 bytes, always the same key", values::get_one),
    work("get-1k", "read 64 bytes, keys at random out of 1,000", values::get_1k),
    work("get-1m", "read 64 bytes, keys at random out of 1,000,000", values::get_1m),
    work("get-typed-1k", "read and decode a struct of 5 fields, out of 1,000", typed::get_typed_1k),
    work("set-one", "overwrite 64 bytes, always the same key", values::set_one),
    work("set-1k", "overwrite 64 bytes, keys at random out of 1,000", values::set_1k),
    work("set-1m", "overwrite 64 bytes, keys at random out of 1,000,000", values::set_1m),
    work("get-2p", "two processes read one key; time of each, beside one alone", two::get_2p),
    work("set-2p", "two processes overwrite different keys; time of each, beside one alone", two::set_2p),
    work("set-2p-same", "two processes overwrite one key; time of each, beside one alone", two::set_2p_same),
    work("increment", "add 1 to one number", counter::increment),
    work("increment-2p", "two processes add 1 to one number; time per increment of both together", two::increment_2p),
    work("transaction-2", "move 1 from one number to another, out of 1,000", transaction::transaction_2),
    work("get-1mib", "read 1 MiB", large::get_1mib),
    work("set-1mib", "overwrite 1 MiB", large::set_1mib),
    work("insert-1m", "1,000,000 new keys with 64 bytes, from empty; and the longest single insert", insert::insert_1m),
    work("memory", "bytes of the file per record of 64 bytes", memory::memory),
    work("attach", "open a store of 1,000,000 keys to which 100 processes are attached", attach::attach),
    work("cli-incr-alone", "the whole process `shmsync incr`, nobody else attached", command::cli_incr_alone),
    work("watch-wake", "from a set until a sleeping watcher of another process has the value", wake::watch_wake),
    work(
        "watch-cost",
        "processor time per second of a watcher on 3 keys, 10,000 other sets per second",
        idle::watch_cost,
    ),
    work("hot-64k", "read 64 KiB that another process overwrites without pause", hot::hot_64k),
    work("scan-1m", "list all of 1,000,000 keys in order; time per key", scan::scan_1m),
    work("tails", "one process reads, one writes, each 1,000,000 times a second: the slowest of them", tails::tails),
    work("lock", "acquire and release a lock that nobody else wants", lock::lock),
    work("hand-over", "from one process to another, both of which want one lock all the time", turns::hand_over),
    work("owner-killed", "from SIGKILL for the owner of a lock until the next one has it", turns::owner_killed),
    work("lock-sleepers", "processor time per second of 150 processes asleep for one lock", turns::lock_sleepers),
    work("lock-run", "the whole process `shmsync lock run` around /bin/true", command::lock_run),
    work("is-revoked", "ask whether one still leads", lock::is_revoked),
    #[cfg(feature = "etcd")]
    work("etcd-get", "read 64 bytes from a cluster of one member", cluster::get),
    #[cfg(feature = "etcd")]
    work("etcd-set", "overwrite 64 bytes there", cluster::set),
    #[cfg(feature = "etcd")]
    work("etcd-set-checked", "the same, beside one that also looks at two other keys", cluster::set_checked),
    #[cfg(feature = "etcd")]
    work("etcd-increment", "add 1 to one number there", cluster::increment),
    #[cfg(feature = "etcd")]
    work("etcd-lock", "acquire and release a lock there", cluster::lock),
];
