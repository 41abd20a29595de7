//! Inside of a runtime of somebody else: blocking there is not wise, but nothing panics.

use shmsync::Sync;

use crate::server::Server;

#[test]
fn calls_inside_of_another_runtime_are_answered() {
    let Some(server) = Server::start() else { return };
    let name = server.name("x?session=600s");
    let other = Sync::open(&name).unwrap();
    other.set("k", &1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Sync::open(&name).unwrap();
        assert_eq!(store.integer("k").increment(1).unwrap(), 2);
        assert!(store.lock("k").unwrap().acquire().unwrap().release().unwrap());
        // Made outside, used and ended inside.
        assert_eq!(other.get::<i32>("k").unwrap(), Some(2));
        drop(other);
    });
}

#[test]
fn many_threads_ask_at_once_and_all_are_answered() {
    let Some(server) = Server::start() else { return };
    let store = Sync::open(server.name("x?session=600s")).unwrap();
    std::thread::scope(|scope| {
        // Somebody who waits all the time keeps nobody else from being answered.
        let waiter = scope.spawn(|| store.watch("end").unwrap().next().unwrap().unwrap());
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..50).for_each(|_| assert!(store.integer("n").increment(1).unwrap() > 0))))
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        store.set("end", &1).unwrap();
        assert_eq!(waiter.join().unwrap().value::<i32>().unwrap(), Some(1));
    });
    assert_eq!(store.integer("n").refresh().unwrap(), 400);
}
