//! Leaders: one at a time, told once when it is over, followed by all who want to know.

use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::Duration,
};

use super::locks::queued;
use crate::{
    Revoked, Sync,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, becomes_true, meanwhile, together},
    },
};

fn leads(store: &Sync, group: &str) -> Outcome<Option<String>> {
    Ok(store.leader(group)?.current()?.map(|candidate| candidate.id))
}

pub(crate) fn one_of_two_leads_and_then_the_other(store: &Sync) -> Outcome {
    let group = store.leader("g")?;
    same!(group.current()?, None);
    let first = group.elect("a")?;
    same!(first.id(), "a");
    same!(leads(store, "g")?.as_deref(), Some("a"));
    check!(group.try_elect("b")?.is_none());
    check!(!first.is_revoked());
    same!(first.wait_revoked(Some(Duration::ZERO))?, None);
    let resign = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody stands");
        check!(first.resign()?);
        check!(!first.resign()?, "it resigns twice");
        same!(first.wait_revoked(None)?, Some(Revoked::Resigned));
        check!(first.is_revoked());
        Ok(())
    };
    let (_, second) = meanwhile(resign, || Ok(group.elect_timeout("b", LONG)?))?;
    check!(second.token() > first.token());
    same!(leads(store, "g")?.as_deref(), Some("b"));
    drop(first);
    check!(!second.is_revoked(), "the end of the first ended the second");
    drop(second);
    same!(leads(store, "g")?, None);
    Ok(())
}

pub(crate) fn a_leader_may_be_elected_again(store: &Sync) -> Outcome {
    let group = store.leader("g")?;
    let mut leadership = group.elect("a")?;
    let first = leadership.token();
    check!(leadership.resign()?);
    leadership.re_elect()?;
    check!(leadership.token() > first && !leadership.is_revoked());
    check!(group.force_resign()?);
    same!(leadership.wait_revoked(Some(LONG))?, Some(Revoked::Forced));
    leadership.re_elect()?;
    leadership.re_elect()?;
    same!(leads(store, "g")?.as_deref(), Some("a"));
    Ok(())
}

pub(crate) fn groups_do_not_know_each_other(store: &Sync) -> Outcome {
    let (one, other) = (store.leader("g1")?.elect("same")?, store.leader("g2")?.elect("same")?);
    let inner = store.namespace("n").leader("g1")?.elect("same")?;
    check!(!one.is_revoked() && !other.is_revoked() && !inner.is_revoked());
    check!(one.resign()?);
    check!(!other.is_revoked() && !inner.is_revoked());
    same!(leads(store, "g2")?.as_deref(), Some("same"));
    let guard = store.lock("g1")?.acquire()?;
    check!(guard.release()?);
    Ok(())
}

pub(crate) fn a_forced_leader_is_told_once(store: &Sync) -> Outcome {
    let group = store.leader("g")?;
    check!(!group.force_resign()?);
    let leadership = group.elect("a")?;
    let wait = || together(3, |_| -> Outcome<Option<Revoked>> { Ok(leadership.wait_revoked(Some(LONG))?) });
    let force = || -> Outcome {
        thread::sleep(SHORT);
        check!(group.force_resign()?);
        Ok(())
    };
    let (_, told) = meanwhile(force, wait)?;
    same!(told, vec![Some(Revoked::Forced); 3]);
    check!(leadership.is_revoked());
    check!(!leadership.resign()?);
    same!(leadership.wait_revoked(None)?, Some(Revoked::Forced));
    let next = group.try_elect("b")?.ok_or_else(|| Failure::new("the group is not free"))?;
    drop(leadership);
    check!(!next.is_revoked());
    Ok(())
}

pub(crate) fn a_leader_with_a_time_limit_renews_itself(store: &Sync) -> Outcome {
    let leadership = store.leader("g")?.ttl(Duration::from_secs(4)).elect("a")?;
    let left = || -> Outcome<Duration> {
        let owner = store.leader("g")?.current()?.map(|candidate| candidate.owner);
        Ok(owner.and_then(|owner| owner.expires_in).unwrap_or_default())
    };
    // What is left of its time becomes less, until it becomes more again.
    let mut last = left()?;
    let mut renewed = || -> Outcome<bool> {
        let before = std::mem::replace(&mut last, left()?);
        Ok(last > before + SHORT)
    };
    check!(becomes_true(&mut renewed)?, "it is not renewed");
    same!(leadership.wait_revoked(Some(SHORT))?, None);
    check!(!leadership.is_revoked());
    same!(leads(store, "g")?.as_deref(), Some("a"));
    check!(leadership.resign()?);
    refused!(Invalid, store.leader("g")?.ttl(Duration::from_millis(9)).elect("a"));
    refused!(Invalid, store.leader("g")?.elect(""));
    refused!(Invalid, store.leader(""));
    Ok(())
}

pub(crate) fn followers_see_the_leaders_one_after_the_other(store: &Sync) -> Outcome {
    let group = store.leader("g")?;
    let mut follow = group.follow()?;
    same!(follow.next_timeout(Duration::ZERO)?, None);
    let first = group.elect("a")?;
    same!(follow.next_timeout(LONG)?.map(|candidate| candidate.token), Some(first.token()));
    same!(follow.next_timeout(SHORT)?, None);
    drop(first);
    let elect = || -> Outcome<_> {
        thread::sleep(SHORT);
        Ok(group.elect("b")?)
    };
    let (_second, seen) = meanwhile(elect, || Ok(follow.next().transpose()?.map(|candidate| candidate.id)))?;
    same!(seen.as_deref(), Some("b"));
    let stop = follow.stop_handle();
    stop.stop();
    refused!(Stopped, follow.next_timeout(LONG));
    check!(follow.next().is_none());
    Ok(())
}

pub(crate) fn an_election_can_be_stopped(store: &Sync) -> Outcome {
    let leadership = store.leader("g")?.elect("a")?;
    let other = store.leader("g")?;
    let stop = other.stop_handle();
    let wait = || -> Outcome {
        refused!(Stopped, other.elect("b"));
        Ok(())
    };
    let stopping = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody stands");
        stop.stop();
        Ok(())
    };
    meanwhile(stopping, wait)?;
    same!(queued(store)?, 0);
    refused!(Timeout, store.leader("g")?.elect_timeout("b", SHORT));
    check!(!leadership.is_revoked());
    Ok(())
}

pub(crate) fn of_many_candidates_one_leads_at_a_time(store: &Sync) -> Outcome {
    let leading = AtomicU32::new(0);
    together(4, |number| -> Outcome {
        for _ in 0..10 {
            let leadership = store.leader("g")?.elect(&format!("candidate {number}"))?;
            same!(leading.fetch_add(1, SeqCst), 0);
            check!(!leadership.is_revoked());
            leading.fetch_sub(1, SeqCst);
        }
        Ok(())
    })?;
    same!(leads(store, "g")?, None);
    Ok(())
}
