//! Runs scenarios, each on a store of its own and under a watchdog, and counts what came out.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    Failure, Level, Needs, Outcome, Scenario,
    list::Play,
    scenarios,
    tools::{becomes_true, panic_text},
};
use crate::{Options, Sync, driver::Driver, error::ErrorKind, store::Name};

/// A scenario that takes longer than this hangs.
const WATCHDOG: Duration = Duration::from_secs(300);

/// How a scenario ended.
#[derive(Debug)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// The driver says that it cannot do what this needs.
    Skipped(Needs),
    /// It does not hold.
    Failed(Failure),
}

/// How all scenarios ended.
#[derive(Debug, Default)]
pub struct Report {
    verdicts: Vec<(Scenario, Verdict)>,
}

impl Report {
    /// Whether nothing failed. What was skipped counts as passed; see [`Report::skipped`].
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Every scenario with its end.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Scenario, &Verdict)> {
        self.verdicts.iter().map(|(scenario, verdict)| (scenario, verdict))
    }

    /// What failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&Scenario, &Failure)> {
        self.verdicts().filter_map(|(scenario, verdict)| match verdict {
            Verdict::Failed(failure) => Some((scenario, failure)),
            _ => None,
        })
    }

    /// What was skipped, and for want of what.
    pub fn skipped(&self) -> impl Iterator<Item = (&Scenario, Needs)> {
        self.verdicts().filter_map(|(scenario, verdict)| match verdict {
            Verdict::Skipped(needs) => Some((scenario, *needs)),
            _ => None,
        })
    }

    /// How many scenarios that need this passed, were skipped, and failed.
    pub fn count(&self, needs: Needs) -> [usize; 3] {
        let mut counts = [0; 3];
        for (_, verdict) in self.verdicts().filter(|(scenario, _)| scenario.needs == needs) {
            counts[match verdict {
                Verdict::Passed => 0,
                Verdict::Skipped(_) => 1,
                Verdict::Failed(_) => 2,
            }] += 1;
        }
        counts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for needs in Needs::ALL {
            let [passed, skipped, failed] = self.count(needs);
            writeln!(f, "{needs}: {passed} passed, {skipped} skipped, {failed} failed")?;
        }
        for (scenario, needs) in self.skipped() {
            writeln!(f, "skipped {scenario}: the driver has no {needs}")?;
        }
        for (scenario, failure) in self.failures() {
            writeln!(f, "FAILED {scenario}: {failure}")?;
        }
        Ok(())
    }
}

/// The driver behind a name, for the scenarios of the contract; [`run_handle`] is for handles.
///
/// # Errors
/// As [`Sync::open`].
pub fn open(name: &str) -> crate::Result<impl Driver + use<>> {
    Name::parse(name.as_ref())?.open(&Options::default())
}

/// Runs every scenario of both levels.
pub fn run_all<D: Driver>(factory: impl Fn() -> D) -> Report {
    run_some(factory, |_| true)
}

/// Runs the scenarios that are wanted, of both levels.
pub fn run_some<D: Driver>(factory: impl Fn() -> D, wanted: impl Fn(&Scenario) -> bool) -> Report {
    collect(wanted, |scenario| on_either(scenario, &factory))
}

/// Runs every scenario of the handle, on handles that were opened in any way.
pub fn run_handle(factory: impl Fn() -> Sync) -> Report {
    let of_handles = |scenario: &Scenario| scenario.level() == Level::Handle;
    collect(of_handles, |scenario| on_handle(scenario, &factory))
}

fn collect(wanted: impl Fn(&Scenario) -> bool, run: impl Fn(&Scenario) -> Verdict) -> Report {
    let wanted = scenarios().into_iter().filter(wanted);
    Report { verdicts: wanted.map(|scenario| (scenario, run(&scenario))).collect() }
}

fn on_either<D: Driver>(scenario: &Scenario, factory: impl Fn() -> D) -> Verdict {
    match scenario.level() {
        Level::Driver => on_driver(scenario, factory),
        Level::Handle => on_handle(scenario, || Sync::with_driver(factory())),
    }
}

/// One scenario of either level as a test: panics when it fails, says so when it is skipped.
#[doc(hidden)]
pub fn driver_test<D: Driver>(name: &str, factory: impl Fn() -> D) {
    let scenario = named(name);
    conclude(&scenario, on_either(&scenario, factory));
}

/// One scenario of the handle as a test; scenarios of the contract are no concern of a handle.
#[doc(hidden)]
pub fn handle_test(name: &str, factory: impl Fn() -> Sync) {
    let scenario = named(name);
    conclude(&scenario, on_handle(&scenario, factory));
}

fn named(name: &str) -> Scenario {
    let found = scenarios().into_iter().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("no scenario is called {name}"))
}

fn conclude(scenario: &Scenario, verdict: Verdict) {
    match verdict {
        Verdict::Passed => {}
        Verdict::Skipped(needs) => println!("skipped {scenario}: the driver has no {needs}"),
        Verdict::Failed(failure) => panic!("{scenario}: {failure}"),
    }
}

fn on_driver<D: Driver>(scenario: &Scenario, factory: impl Fn() -> D) -> Verdict {
    let Play::Driver(play) = scenario.play else { unreachable!("a scenario of the handle has a level of its own") };
    let driver = match catch_unwind(AssertUnwindSafe(factory)) {
        Ok(driver) => driver,
        Err(panic) => return Verdict::Failed(Failure::new(panic_text(&*panic))),
    };
    if !scenario.needs.is_met_by(&driver.capabilities()) {
        return finished(driver.destroy().err().map(Failure::from)).unwrap_or(Verdict::Skipped(scenario.needs));
    }
    watched(move || {
        play(&driver)?;
        tidy(|| driver.verify().map(|found| found.problems), || driver.destroy())
    })
}

fn on_handle(scenario: &Scenario, open: impl Fn() -> Sync) -> Verdict {
    let Play::Handle(play) = scenario.play else { unreachable!("a scenario of the contract has a level of its own") };
    let handle = match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened,
        Err(panic) => return Verdict::Failed(Failure::new(panic_text(&*panic))),
    };
    if !scenario.needs.is_met_by(&handle.driver.capabilities()) {
        return finished(handle.destroy().err().map(Failure::from)).unwrap_or(Verdict::Skipped(scenario.needs));
    }
    watched(move || {
        play(&handle)?;
        tidy(|| handle.verify().map(|found| found.problems), || handle.destroy())
    })
}

fn finished(failure: Option<Failure>) -> Option<Verdict> {
    failure.map(Verdict::Failed)
}

/// Looks at what a scenario left and removes it; a store that the scenario removed itself is no problem.
fn tidy(verify: impl Fn() -> crate::Result<Vec<String>>, destroy: impl Fn() -> crate::Result<()>) -> Outcome {
    let gone = |kind| matches!(kind, ErrorKind::Gone | ErrorKind::NoStore);
    // Entries of which the scenario has just dropped the last guard may still be on their way out.
    let mut problems = vec![];
    becomes_true(|| match verify() {
        Ok(found) => {
            problems = found;
            Ok(true)
        }
        Err(error) if gone(error.kind()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Locked => Ok(false),
        Err(error) => Err(error.into()),
    })?;
    if !problems.is_empty() {
        return Err(Failure::new(format_args!("the store is left with problems: {problems:?}")));
    }
    match destroy() {
        Err(error) if !gone(error.kind()) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs a scenario in a thread of its own; one that never returns is left behind and reported.
fn watched(play: impl FnOnce() -> Outcome + Send + 'static) -> Verdict {
    let (send, receive) = mpsc::channel();
    let body = move || {
        let outcome =
            catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| Err(Failure::new(panic_text(&*panic))));
        let _ = send.send(outcome);
    };
    if let Err(error) = thread::Builder::new().name("scenario".into()).spawn(body) {
        return Verdict::Failed(Failure::new(error));
    }
    match receive.recv_timeout(WATCHDOG) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(failure)) => Verdict::Failed(failure),
        Err(_) => Verdict::Failed(Failure::new(format_args!("it hangs: no answer in {WATCHDOG:?}"))),
    }
}
