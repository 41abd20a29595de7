//! The example of a driver of one's own passes every scenario that it can play, and stays short.

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../examples/own_driver.rs"]
mod own_driver;

#[test]
fn a_driver_of_ones_own_is_short() {
    assert!(include_str!("../examples/own_driver.rs").lines().count() < 150);
}

/// A13: in three lines, every scenario is a test; here they are one, because the report is tested too.
#[test]
fn a_driver_of_ones_own_passes_the_suite() {
    let report = shmsync::conformance::run_all(own_driver::Toy::default);
    assert!(report.passed(), "{report}");
    // What it cannot do is said, not passed over.
    assert_eq!(report.skipped().count(), report.count(shmsync::conformance::Needs::Gate)[1]);
    assert!(report.skipped().count() > 10 && report.verdicts().count() > 100);
}

/// A driver that breaks the contract is found out, scenario by scenario.
#[test]
fn a_driver_that_forgets_is_found_out() {
    use shmsync::{Result, driver::*};

    /// Answers everything like the example, but loses every tenth put.
    #[derive(Default)]
    struct Forgetful(own_driver::Toy, std::sync::atomic::AtomicU64);

    impl Driver for Forgetful {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
        fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
            self.0.get(access, space, key, into)
        }
        fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
            self.0.head(access, space, key)
        }
        fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
            self.0.range(access, range)
        }
        fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
            if self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 == 9 {
                return Ok(Ok(commit.ops.iter().map(|_| Revision::new(1 << 40)).collect()));
            }
            self.0.commit(access, commit)
        }
        fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
            self.0.add(access, space, key, delta)
        }
        fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
            self.0.snapshot(access, space, prefix)
        }
        fn replace(
            &self,
            access: &Access,
            space: Space,
            prefix: &str,
            new: &[(String, Vec<u8>, Lifetime)],
        ) -> Result<()> {
            self.0.replace(access, space, prefix, new)
        }
        fn wait(&self, _: &[(Space, &str, Option<Revision>)], _: Patience<'_>) -> Result<bool> {
            Ok(true)
        }
        fn version(&self) -> Result<u64> {
            self.0.version()
        }
        fn owner(&self) -> Result<OwnerId> {
            self.0.owner()
        }
        fn destroy(&self) -> Result<()> {
            self.0.destroy()
        }
    }

    let blind =
        ["thousands_of_keys_come_and_go", "no_two_writes_share_a_revision", "patience_runs_out_when_nothing_changes"];
    let report = shmsync::conformance::run_some(Forgetful::default, |scenario| blind.contains(&scenario.name));
    assert_eq!(report.failures().count(), 3, "{report}");
    assert!(report.to_string().contains("FAILED thousands of keys come and go: "), "{report}");
    let report =
        shmsync::conformance::run_some(Forgetful::default, |scenario| scenario.name == "i_am_alive_and_listed");
    assert!(report.passed(), "{report}");
}
