//! Several keys change together or not at all, whoever else writes meanwhile.

use std::thread;

use shmsync::{Error, Sync};

/// Why a transfer did not happen. An error of one's own ends a transaction with `?`, like any other.
#[derive(Debug)]
enum Refused {
    TooPoor { balance: i64 },
    Store(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn transfer(store: &Sync, from: &str, to: &str, amount: i64) -> Result<(), Refused> {
    store.try_transaction(|tx| {
        let balance = tx.get(from)?.unwrap_or(0);
        if balance < amount {
            return Err(Refused::TooPoor { balance });
        }
        tx.set(from, &(balance - amount))?;
        tx.increment(to, amount)?;
        Ok(())
    })
}

fn main() -> shmsync::Result<()> {
    let store = Sync::open(format!("example-transaction-{}", std::process::id()))?;
    store.set("account/ada", &1_000)?;
    store.set("account/grace", &1_000)?;

    thread::scope(|scope| {
        let pairs = [("account/ada", "account/grace"), ("account/grace", "account/ada")];
        let movers = pairs.map(|(from, to)| {
            let store = &store;
            scope.spawn(move || (0..300).try_for_each(|amount| transfer(store, from, to, amount % 7)))
        });
        // Whoever reads everything sees one moment: the sum never changes.
        for _ in 0..100 {
            assert_eq!(store.read_all::<i64>("account/")?.values().sum::<i64>(), 2_000);
        }
        for mover in movers {
            mover.join().expect("a thread").expect("money for small amounts");
        }
        Ok::<_, Error>(())
    })?;

    match transfer(&store, "account/ada", "account/grace", 1_000_000) {
        Err(Refused::TooPoor { balance }) => println!("a million is refused, there are only {balance}"),
        Err(Refused::Store(error)) => return Err(error),
        Ok(()) => panic!("a million was not refused"),
    }
    assert_eq!(store.read_all::<i64>("account/")?.values().sum::<i64>(), 2_000);
    store.destroy()
}
