//! Two programs that know nothing of each other but a path: one writes, one reads.
//!
//! Run without arguments it starts itself twice, as writer and as reader. In two terminals:
//! `cargo run --example two_binaries -- read /dev/shm/demo` and `cargo run --example two_binaries -- write /dev/shm/demo`.

use std::{env, path::PathBuf, process::Command};

use shmsync::{Result, Sync};

const STEPS: u32 = 50;

fn write(path: &str) -> Result<()> {
    let store = Sync::options().label("the writer").open(path)?;
    for step in 1..=STEPS {
        store.transaction(|tx| {
            tx.set("step", &step)?;
            tx.set("square", &(step * step))
        })?;
    }
    Ok(())
}

fn read(path: &str) -> Result<()> {
    // Whoever comes first creates the store, so neither has to wait for the other to start.
    let store = Sync::options().label("the reader").open(path)?;
    for change in store.watch("step")? {
        let Some(step) = change?.value::<u32>()? else { continue };
        let both = store.read_all::<u32>("s")?;
        assert_eq!(both["square"], both["step"] * both["step"], "the reader sees half a transaction");
        println!("the reader sees step {step}");
        if step == STEPS {
            break;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", path] => write(path),
        ["read", path] => read(path),
        _ => both(),
    }
}

fn both() -> Result<()> {
    let folder = PathBuf::from("/dev/shm");
    let folder = if folder.is_dir() { folder } else { env::temp_dir() };
    let path = folder.join(format!("example-two-binaries-{}", std::process::id()));
    let start = |role: &str| Command::new(env::current_exe().expect("this program")).arg(role).arg(&path).spawn();
    let mut programs = ["read", "write"].map(|role| start(role).expect("another process"));
    let ended_well = programs.iter_mut().all(|program| program.wait().is_ok_and(|status| status.success()));

    let store = Sync::open(&path)?;
    let last = store.get::<u32>("square")?;
    store.destroy()?;
    assert!(ended_well, "a program failed");
    assert_eq!(last, Some(STEPS * STEPS));
    Ok(())
}
