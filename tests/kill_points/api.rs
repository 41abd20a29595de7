//! Every public call is covered by an operation here, or is listed as one that changes nothing shared. A call that is
//! in neither list fails the test, so that what comes later joins it.

use std::{collections::BTreeSet, fs, path::Path};

use super::operations::Operation;

/// Calls that only read, only make a handle, or only concern this process.
const CHANGES_NOTHING: &[&str] = &[
    "Change::value",
    "Follow::next_deadline",
    "Follow::next_timeout",
    "Follow::stop_handle",
    "Integer::detached",
    "Integer::exists",
    "Integer::get",
    "Integer::known",
    "Integer::refresh",
    "Leader::current",
    "Leader::follow",
    "Leader::label",
    "Leader::notify_fd",
    "Leader::stop_handle",
    "Leader::ttl",
    "Leadership::id",
    "Leadership::inheritable",
    "Leadership::is_revoked",
    "Leadership::previous_owner_died",
    "Leadership::token",
    "Leadership::wait_revoked",
    "Lock::die_with_owner",
    "Lock::forever",
    "Lock::hold_at_least",
    "Lock::label",
    "Lock::notify_fd",
    "Lock::on_behalf_of",
    "Lock::shared",
    "Lock::state",
    "Lock::stop_handle",
    "Lock::ttl",
    "LockGuard::is_held",
    "LockGuard::previous_owner_died",
    "LockGuard::token",
    "Options::access_limit",
    "Options::allow_network_fs",
    "Options::capacity",
    "Options::create",
    "Options::label",
    "Options::liveness_thread",
    "Options::mode",
    "Options::read_only",
    "Options::trust_owner",
    "Owner::age",
    "OwnerProcess::current",
    "OwnerProcess::has_ended",
    "OwnerProcess::labelled",
    "OwnerProcess::of",
    "OwnerProcess::parent",
    "OwnerProcess::pid",
    "StopHandle::is_stopped",
    "StopHandle::stop",
    "Sync::contains",
    "Sync::get",
    "Sync::get_bytes",
    "Sync::get_or",
    "Sync::get_versioned",
    "Sync::integer",
    "Sync::iter",
    "Sync::keys",
    "Sync::leader",
    "Sync::len",
    "Sync::lock",
    "Sync::locks",
    "Sync::namespace",
    "Sync::options",
    "Sync::participants",
    "Sync::read_all",
    "Sync::read_all_encoded",
    "Sync::read_encoded",
    "Sync::semaphore",
    "Sync::stats",
    "Sync::verify",
    "Sync::with_driver",
    "Token::get",
    "Token::new",
    "Transaction::contains",
    "Transaction::get",
    "Watch::notify_fd",
    "Watch::stop_handle",
];

/// What is wrong with the lists.
pub fn missing(operations: &[Operation]) -> Vec<String> {
    let covered: BTreeSet<&str> = operations.iter().flat_map(|operation| operation.covers).copied().collect();
    let listed: BTreeSet<&str> = CHANGES_NOTHING.iter().copied().collect();
    let public = public_calls();
    let call = |call: &String| !covered.contains(call.as_str()) && !listed.contains(call.as_str());
    let uncovered = public.iter().filter(|name| call(name));
    let mut faults: Vec<String> =
        uncovered.map(|call| format!("{call} is public, but nobody is killed in it: add an operation")).collect();
    let gone = covered.union(&listed).filter(|name| !public.contains(**name));
    faults.extend(gone.map(|name| format!("{name} is listed, but there is no such call")));
    faults.extend(covered.intersection(&listed).map(|name| format!("{name} is in both lists")));
    faults
}

/// `Type::call` for every public function of the types that users hold: `src/store`, and whatever folder comes beside
/// it with words for users.
fn public_calls() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for folder in ["src/store", "src/coord"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "rs") {
                scan(&fs::read_to_string(file.path()).expect("a source file"), &mut calls);
            }
        }
    }
    calls
}

fn scan(source: &str, calls: &mut BTreeSet<String>) {
    let mut of = String::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            of = type_of(rest);
        } else if let Some(rest) = line.strip_prefix("    pub fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            calls.insert(format!("{of}::{name}"));
        }
    }
}

/// `<T> Type<T> {` and ` Trait for Type {` name a type.
fn type_of(rest: &str) -> String {
    let rest = if rest.starts_with('<') { rest.split_once("> ").map_or("", |(_, rest)| rest) } else { rest };
    let rest = rest.split_once(" for ").map_or(rest, |(_, rest)| rest).trim_start();
    rest.split(['<', ' ', '{']).next().unwrap_or_default().to_owned()
}
