//! `leader run`, `status`, `follow`: one of many leads, and its program with it.

mod common;

use common::{Background, World, eventually, is_alive, json, signal};

/// Somebody whose program prints its id when it leads.
fn candidate(world: &World, id: &str, flags: &[&str], script: &str) -> Background {
    world.start(&[&["leader", "run", "g", "--id", id], flags, &["--", "sh", "-c", script]].concat())
}

const STAY: &str = "echo $$; exec sleep 600";

fn groups(world: &World) -> serde_json::Value {
    json(&world.yes(&["leader", "status", "--json"]))
}

#[test]
fn scenario_31_the_next_candidate_leads_when_the_program_of_the_first_has_ended() {
    let world = World::new();
    let mut first = candidate(&world, "a", &[], "echo ready; exec sleep 600");
    assert_eq!(first.line(), "ready");
    let mut second = candidate(&world, "b", &[], STAY);
    eventually("it stands by", || groups(&world)[0]["candidates"] == 1);
    assert!(groups(&world)[0]["id"] == "a" && second.is_running());
    first.signal("TERM");
    assert_eq!(first.end().code, 143);
    second.line();
    assert_eq!(groups(&world)[0]["id"], "b");
    second.signal("TERM");
    assert_eq!(second.end().code, 143);
    assert_eq!(groups(&world), serde_json::json!([]));
}

#[test]
fn scenario_32_a_killed_leader_is_followed_and_followers_see_both() {
    let world = World::new();
    let mut follower = world.start(&["leader", "follow", "g"]);
    let mut first = candidate(&world, "a", &[], STAY);
    let program = first.line();
    assert_eq!(follower.line(), "a");
    let mut second = candidate(&world, "b", &[], STAY);
    eventually("it stands by", || groups(&world)[0]["candidates"] == 1);
    first.signal("KILL");
    drop(first);
    signal(&program, "KILL");
    let next = second.line();
    assert_eq!(follower.line(), "b");
    signal(&next, "KILL");
    assert_eq!(second.end().code, 137);
}

#[test]
fn a_killed_wrapper_leaves_the_leadership_to_its_program() {
    let world = World::new();
    let mut first = candidate(&world, "a", &[], STAY);
    let program = first.line();
    first.signal("KILL");
    drop(first);
    let answer = world.run(&["leader", "run", "g", "--timeout", "500ms", "--", "true"]);
    assert!(is_alive(&program) && answer.code == 1 && answer.err.contains("still held by pid"), "{answer:?}");
    signal(&program, "KILL");
    assert_eq!(world.run(&["leader", "run", "g", "--timeout", "2m", "--", "true"]).code, 0);
}

#[test]
fn scenario_33_two_groups_have_a_leader_each() {
    let world = World::new();
    let script = "shmsync leader run one --id x -- shmsync leader run other --id x -- shmsync leader status --json";
    let answer = common::answer(world.shell("dash", script));
    let groups = json(&answer.out);
    let told: Vec<_> = groups.as_array().expect("an array").iter().map(|one| (&one["group"], &one["id"])).collect();
    assert_eq!(told, [(&"one".into(), &"x".into()), (&"other".into(), &"x".into())]);
}

#[test]
fn a_program_is_told_to_end_when_the_leadership_is_lost_and_killed_when_it_does_not() {
    let world = World::new();
    let polite = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.02; done";
    for (script, flags, told) in
        [(polite, &["--grace", "2m"][..], "told"), (stubborn, &["--grace", "50ms", "-E", "9"], "")]
    {
        let mut leader = candidate(&world, "a", flags, script);
        assert_eq!(leader.line(), "ready");
        assert!(world.open().leader("g").expect("a group").force_resign().expect("forced"));
        assert_eq!(leader.line(), told);
        let answer = leader.end();
        assert_eq!(answer.code, if told.is_empty() { 9 } else { 1 }, "{answer:?}");
        assert!(answer.err.contains("group \"g\": \"a\" no longer leads, somebody ended it by force"), "{answer:?}");
    }
}

#[test]
fn a_leader_that_stood_still_past_its_limit_stops_its_program() {
    let world = World::new();
    let mut leader = candidate(&world, "a", &["--ttl", "300ms"], "echo $$; exec sleep 600");
    let program = leader.line();
    leader.signal("STOP");
    let next = world.run(&["leader", "run", "g", "--id", "b", "--timeout", "2m", "--", "true"]);
    assert_eq!((next.code, &*next.err), (0, ""));
    leader.signal("CONT");
    let answer = leader.end();
    assert!(answer.code == 1 && answer.err.contains("it was not renewed in time"), "{answer:?}");
    assert!(!is_alive(&program));
}

#[test]
fn status_and_follow_tell_the_documented_things() {
    let world = World::new();
    let mut leader = candidate(&world, "a", &["--ttl", "1h"], STAY);
    leader.line();
    let groups = groups(&world);
    let keys: Vec<&String> = groups[0].as_object().expect("an object").keys().collect();
    let documented =
        ["group", "id", "state", "owner", "token", "since", "age_s", "lifetime", "expires_in_s", "candidates"];
    assert_eq!(keys, documented);
    assert_eq!(groups[0]["owner"]["pid"], leader.pid());
    assert!(world.locks().is_empty(), "groups are no locks");
    let mut follower = world.start(&["leader", "follow", "g", "--json"]);
    let told = json(&follower.line());
    assert_eq!((&told["id"], &told["token"]), (&"a".into(), &groups[0]["token"]));
    assert_eq!(world.run(&["leader", "follow", "g", "--timeout", "50ms"]).code, 1);
    assert_eq!(world.run(&["leader", "run", "g", "--timeout", "0", "--", "true"]).code, 1);
    let bad = world.run(&["leader", "run", "g", "--ttl", "2ms", "--", "true"]);
    assert!(bad.code == 125 && bad.err.contains("at least 10 ms"), "{bad:?}");
    leader.signal("TERM");
    assert_eq!(leader.end().code, 143);
}
