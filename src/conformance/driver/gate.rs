//! The gate behind `exclusive`: closed by one, it makes all others wait.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, OPEN, SHORT, VALUES, meanwhile, patience, put, together, value},
    },
    driver::{Access, Commit, Driver, GateToken, Lifetime, Patience, Range, Space, Stop},
};

fn close(driver: &dyn Driver) -> Outcome<GateToken> {
    driver.close_gate(patience(LONG))?.ok_or_else(|| Failure::new("an open gate cannot be closed"))
}

/// What a caller is who waits no longer than that.
fn waiting(limit: Duration) -> Access {
    Access { limit: Some(limit), gate: None }
}

fn inside(token: GateToken) -> Access {
    Access { limit: Some(SHORT), gate: Some(token) }
}

/// Every call on values, each of which must be refused.
fn everything_is_locked(driver: &dyn Driver, access: &Access) -> Outcome {
    refused!(Locked, driver.get(access, VALUES, "key", &mut vec![]));
    refused!(Locked, driver.head(access, VALUES, "key"));
    refused!(Locked, driver.range(access, Range::keys(VALUES, "")));
    refused!(Locked, driver.count(access, VALUES, ""));
    refused!(Locked, driver.snapshot(access, VALUES, ""));
    refused!(Locked, driver.put(access, VALUES, "key", b"intruder", Lifetime::Forever));
    refused!(Locked, driver.delete(access, VALUES, "key"));
    refused!(Locked, driver.add(access, VALUES, "number", 1));
    refused!(Locked, driver.replace(access, VALUES, "", &[]));
    let ops = vec![(VALUES, "key", crate::conformance::tools::storing(b"intruder"))];
    refused!(Locked, driver.commit(access, &Commit { expect: vec![], ops }));
    Ok(())
}

pub(crate) fn a_closed_gate_locks_others_out_of_every_call(driver: &dyn Driver) -> Outcome {
    put(driver, "key", b"1")?;
    let token = close(driver)?;
    meanwhile(
        || Ok(()),
        || {
            everything_is_locked(driver, &waiting(Duration::from_millis(5)))?;
            everything_is_locked(driver, &waiting(Duration::ZERO))
        },
    )?;
    check!(driver.open_gate(token)?);
    same!(value(driver, "key")?, Some(b"1".to_vec()));
    Ok(())
}

pub(crate) fn who_closed_the_gate_passes_it(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let access = inside(token);
    driver.put(&access, VALUES, "key", b"inside", Lifetime::Forever)?;
    check!(driver.get(&access, VALUES, "key", &mut vec![])?.is_some());
    same!(driver.add(&access, VALUES, "number", 2)?.0, 2);
    same!(driver.count(&access, VALUES, "")?, 2);
    same!(driver.snapshot(&access, VALUES, "")?.len(), 2);
    check!(driver.delete(&access, VALUES, "number")?);
    driver.replace(&access, VALUES, "", &[("new".into(), b"x".to_vec(), Lifetime::Forever)])?;
    check!(driver.open_gate(token)?);
    check!(!driver.open_gate(token)?, "a gate opens twice");
    same!(value(driver, "new")?, Some(b"x".to_vec()));
    Ok(())
}

pub(crate) fn coordination_goes_on_while_the_gate_is_closed(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let work = || -> Outcome {
        let (access, space) = (waiting(Duration::ZERO), Space::Coordination);
        driver.put(&access, space, "lock", b"mine", Lifetime::Forever)?;
        check!(driver.get(&access, space, "lock", &mut vec![])?.is_some());
        same!(driver.count(&access, space, "")?, 1);
        check!(driver.delete(&access, space, "lock")?);
        Ok(())
    };
    meanwhile(|| Ok(()), work)?;
    check!(driver.open_gate(token)?);
    Ok(())
}

pub(crate) fn a_limit_is_waited_for_and_not_much_less(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let limit = Duration::from_millis(200);
    let wait = || -> Outcome {
        let begun = Instant::now();
        refused!(Locked, driver.get(&waiting(limit), VALUES, "key", &mut vec![]));
        check!(begun.elapsed() >= limit, "locked out after {:?}, not {limit:?}", begun.elapsed());
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    check!(driver.open_gate(token)?, "somebody whose time was up leaves the gate unusable");
    put(driver, "key", b"open")?;
    Ok(())
}

pub(crate) fn an_opened_gate_lets_those_in_who_wait(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let hold = || -> Outcome {
        thread::sleep(SHORT);
        driver.put(&inside(token), VALUES, "key", b"first", Lifetime::Forever)?;
        check!(driver.open_gate(token)?);
        Ok(())
    };
    let wait = || -> Outcome {
        same!(value(driver, "key")?, Some(b"first".to_vec()));
        put(driver, "key", b"second")?;
        Ok(())
    };
    meanwhile(hold, wait)?;
    same!(value(driver, "key")?, Some(b"second".to_vec()));
    Ok(())
}

pub(crate) fn two_cannot_close_the_gate_at_once(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let second = || -> Outcome {
        same!(driver.close_gate(patience(Duration::ZERO))?, None);
        same!(driver.close_gate(patience(SHORT))?, None);
        Ok(())
    };
    meanwhile(|| Ok(()), second)?;
    check!(driver.open_gate(token)?, "somebody whose time was up keeps the gate from opening");
    let again = close(driver)?;
    check!(again != token, "two closings share a token");
    check!(!driver.open_gate(token)?, "an old token opens the gate");
    check!(driver.open_gate(again)?);
    put(driver, "key", b"open")?;
    Ok(())
}

pub(crate) fn a_gate_closed_twice_by_one_thread_is_a_deadlock(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    refused!(Deadlock, driver.close_gate(patience(LONG)));
    refused!(Deadlock, driver.close_gate(patience(Duration::ZERO)));
    check!(driver.open_gate(token)?);
    let again = close(driver)?;
    check!(driver.open_gate(again)?);
    Ok(())
}

pub(crate) fn a_forced_gate_is_open_and_its_holder_is_out(driver: &dyn Driver) -> Outcome {
    check!(!driver.force_gate()?, "an open gate can be forced");
    let token = close(driver)?;
    meanwhile(
        || Ok(()),
        || {
            check!(driver.force_gate()?);
            check!(!driver.force_gate()?);
            put(driver, "key", b"others")?;
            Ok(())
        },
    )?;
    refused!(Lost, driver.put(&inside(token), VALUES, "key", b"late", Lifetime::Forever));
    refused!(Lost, driver.add(&inside(token), VALUES, "number", 1));
    refused!(Lost, driver.replace(&inside(token), VALUES, "", &[]));
    check!(!driver.open_gate(token)?, "who was forced out opens the gate");
    same!(value(driver, "key")?, Some(b"others".to_vec()));
    let again = close(driver)?;
    refused!(Lost, driver.put(&inside(token), VALUES, "key", b"late", Lifetime::Forever));
    check!(!driver.open_gate(token)?);
    check!(driver.open_gate(again)?);
    Ok(())
}

pub(crate) fn a_stop_ends_the_wait_for_the_gate(driver: &dyn Driver) -> Outcome {
    let token = close(driver)?;
    let stop = Stop::new();
    let wait = || -> Outcome {
        let patience = Patience { deadline: Some(Instant::now() + LONG), stop: Some(&stop) };
        refused!(Stopped, driver.close_gate(patience));
        Ok(())
    };
    let stopping = || -> Outcome {
        thread::sleep(SHORT);
        stop.stop();
        driver.interrupt(&stop);
        Ok(())
    };
    meanwhile(stopping, wait)?;
    check!(driver.open_gate(token)?);
    Ok(())
}

pub(crate) fn reading_and_writing_behind_the_gate_loses_nothing(driver: &dyn Driver) -> Outcome {
    together(8, |_| -> Outcome {
        for _ in 0..50 {
            let token = close(driver)?;
            let access = inside(token);
            let mut bytes = vec![];
            driver.get(&access, VALUES, "sum", &mut bytes)?;
            let sum = bytes.as_slice().try_into().map_or(0, u32::from_le_bytes);
            driver.put(&access, VALUES, "sum", &(sum + 1).to_le_bytes(), Lifetime::Forever)?;
            check!(driver.open_gate(token)?);
        }
        Ok(())
    })?;
    same!(value(driver, "sum")?, Some(400_u32.to_le_bytes().to_vec()));
    Ok(())
}

pub(crate) fn no_write_falls_into_somebodys_closed_gate(driver: &dyn Driver) -> Outcome {
    put(driver, "key", b"0")?;
    together(4, |number| -> Outcome {
        for round in 0..100_u32 {
            if number > 0 {
                driver.put(&OPEN, VALUES, "key", &round.to_le_bytes(), Lifetime::Forever)?;
                continue;
            }
            let token = close(driver)?;
            let (mut first, mut second) = (vec![], vec![]);
            let before = driver.get(&inside(token), VALUES, "key", &mut first)?;
            thread::sleep(Duration::from_micros(200));
            let after = driver.get(&inside(token), VALUES, "key", &mut second)?;
            check!(driver.open_gate(token)?);
            check!(before == after && first == second, "a value changes inside a closed gate");
        }
        Ok(())
    })?;
    Ok(())
}
