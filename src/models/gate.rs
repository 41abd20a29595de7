//! The gate of `exclusive`, and those who write while it closes.

use super::{
    atomics::Order,
    world::{Handle, Model, ONE_SHARD, World},
};
use crate::{
    broken::Defect,
    driver::{Access, Driver, GateToken, Patience},
};

/// The same world under both orders.
fn models() -> [Model; 2] {
    [Order::Before, Order::After]
        .map(|order| Model::new(ONE_SHARD, |process| process.put("a", 1)).preemptions(1).ordered(order))
}

fn close(handle: &Handle) -> GateToken {
    handle.driver().close_gate(Patience::FOREVER).unwrap().expect("patience has no end")
}

/// Nothing changes while the gate is closed; who came too late goes on afterwards.
fn writer_and_closer(world: &World) {
    let writer = world.spawn(1, |process| {
        process.handle().put(&Access::default(), "a", 2).unwrap();
    });
    let closer = world.spawn(2, |process| {
        let handle = process.handle();
        let token = close(&handle);
        let inside = Access { gate: Some(token), ..Access::default() };
        let before = handle.get(&inside, "a");
        let after = handle.get(&inside, "a");
        assert_eq!(before, after, "somebody has written inside");
        assert!(handle.driver().open_gate(token).unwrap());
    });
    writer.join().unwrap();
    closer.join().unwrap();
}

#[test]
fn loom_46_nobody_writes_inside_of_a_closed_gate() {
    models().into_iter().for_each(|model| model.preemptions(2).holds(writer_and_closer));
}

#[test]
fn loom_46_a_gate_that_waits_for_no_writer_is_found() {
    let [model, _] = models();
    model.preemptions(2).finds(Some(Defect::WritersNotAwaited), "somebody has written inside", writer_and_closer);
}

#[test]
fn loom_46_a_reader_sees_nothing_of_an_exclusive_section_before_it_is_over() {
    for model in models() {
        model.holds(|world| {
            let reader = world.spawn(1, |process| {
                let handle = process.handle();
                let first = handle.get(&Access::default(), "a").map(|(number, _)| number);
                assert!(first == Some(1) || first == Some(3), "seen before it was over: {first:?}");
            });
            let closer = world.spawn(2, |process| {
                let handle = process.handle();
                let token = close(&handle);
                let inside = Access { gate: Some(token), ..Access::default() };
                handle.put(&inside, "a", 2).unwrap();
                handle.put(&inside, "a", 3).unwrap();
                assert!(handle.driver().open_gate(token).unwrap());
            });
            reader.join().unwrap();
            closer.join().unwrap();
        });
    }
}

/// Whoever closed the gate dies; who waits at it opens it.
#[test]
fn loom_46_a_dead_holder_keeps_nobody_out() {
    for model in models() {
        model.holds(|world| {
            let holder = world.spawn(1, |process| {
                let handle = process.handle();
                let token = close(&handle);
                // The first store of the opening does not happen any more.
                assert!(process.dying_at(0, |_| drop(handle.driver().open_gate(token))));
            });
            let writer = world.spawn(2, |process| {
                process.handle().put(&Access::default(), "a", 2).unwrap();
            });
            holder.join().unwrap();
            writer.join().unwrap();
        });
    }
}
