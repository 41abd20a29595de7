//! The suite that every driver passes, unchanged.

use std::{
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    thread,
};

use shmsync::conformance::{Needs, Report, open, run_some, scenarios};

use crate::server::Server;

/// So many scenarios run on etcd, at least. Fewer would mean that some are skipped in silence.
const LEAST: usize = 189;
/// At a time; most of them wait for the disk or the clock most of the time.
const AT_ONCE: usize = 3;

#[test]
fn every_scenario_holds_on_etcd() {
    // One for each at a time: a version is that of the whole cluster, so that others' changes would be seen in it.
    let Some(servers) = (0..AT_ONCE).map(|_| Server::start()).collect::<Option<Vec<_>>>() else { return };
    let count = AtomicU32::new(0);
    let fresh = |server: &Server| {
        let name = server.name(&format!("conformance/{}", count.fetch_add(1, Ordering::Relaxed)));
        open(&name).expect("a new store")
    };
    // Only those that contain a word: `SHMSYNC_SCENARIO=wait cargo test --test etcd`.
    let word = std::env::var("SHMSYNC_SCENARIO").unwrap_or_default();
    let names: Vec<&str> = scenarios().iter().map(|scenario| scenario.name).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| name.contains(&word)).collect();
    let next = AtomicUsize::new(0);
    let work = |server: &Server| -> Vec<Report> {
        let mut reports = vec![];
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            reports.push(run_some(|| fresh(server), |scenario| scenario.name == *name));
        }
        reports
    };
    let reports: Vec<Report> = thread::scope(|scope| {
        let workers: Vec<_> = servers.iter().map(|server| scope.spawn(|| work(server))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    println!("driver \"etcd\":");
    let mut ran = 0;
    for needs in Needs::ALL {
        let counts = reports.iter().map(|report| report.count(needs));
        let [passed, skipped, failed] = counts.fold([0; 3], |sum, one| std::array::from_fn(|at| sum[at] + one[at]));
        println!("{needs}: {passed} passed, {skipped} skipped, {failed} failed");
        ran += passed;
    }
    for report in &reports {
        report.skipped().for_each(|(scenario, needs)| println!("skipped {scenario}: the driver has no {needs}"));
        report.failures().for_each(|(scenario, failure)| println!("FAILED {scenario}: {failure}"));
    }
    assert!(reports.iter().all(Report::passed));
    assert!(!word.is_empty() || ran >= LEAST, "only {ran} scenarios ran on etcd, not {LEAST}");
}
