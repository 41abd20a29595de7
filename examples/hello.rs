//! The shortest useful program: a value that other processes see under the same name.
//!
//! While it runs, `shmsync --store NAME get greeting` shows the same value in another terminal.

use shmsync::Sync;

fn main() -> shmsync::Result<()> {
    // A name of its own, so that two runs do not meet; a real program would write "hello".
    let name = format!("example-hello-{}", std::process::id());
    let store = Sync::open(&name)?;

    store.set("greeting", "hello, world")?;
    store.set("primes", &[2, 3, 5, 7])?;
    assert_eq!(store.get::<String>("greeting")?.as_deref(), Some("hello, world"));
    assert_eq!(store.get::<Vec<u32>>("primes")?, Some(vec![2, 3, 5, 7]));
    assert_eq!(store.get_or("retries", 3)?, 3);

    // A second handle of the same name sees the same; so would another process.
    let other = Sync::options().create(false).open(&name)?;
    assert_eq!(other.keys("")?.collect::<Vec<_>>(), ["greeting", "primes"]);

    println!("{} says {:?}", store.stats()?.path, other.get::<String>("greeting")?);
    store.destroy()
}
