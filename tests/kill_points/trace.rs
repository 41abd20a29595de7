//! A child that is stepped through one operation, instruction by instruction, and killed where it is wanted dead.
//!
//! Children are forked without `exec`, so code lies at the same addresses in all of them and here. To get to the
//! instruction number k of a known trace, a breakpoint takes the child to a place shortly before it and single steps do
//! the rest: a step costs 2 to 20 µs, an operation has ten thousand of them, and it dies hundreds of times.

use std::{collections::HashMap, io, panic::AssertUnwindSafe, ptr};

/// A stopped child, somewhere between [`begin`] and [`end`].
pub struct Tracee {
    pid: i32,
    /// It has left the operation or has ended by itself.
    pub over: bool,
}

/// Where the operation begins.
#[inline(never)]
extern "C" fn begin() {
    std::hint::black_box(());
}

/// Where it is over.
#[inline(never)]
extern "C" fn end() {
    std::hint::black_box(1);
}

fn address(marker: extern "C" fn()) -> u64 {
    marker as usize as u64
}

/// The program counters of one whole run.
#[derive(Default)]
pub struct Trace {
    /// `pcs[k]` is where the child stands after k instructions.
    pub pcs: Vec<u64>,
    /// How often it stood there before, this time included.
    ordinals: Vec<u32>,
}

impl Trace {
    pub fn push(&mut self, pc: u64, seen: &mut HashMap<u64, u32>) {
        let ordinal = seen.entry(pc).or_default();
        *ordinal += 1;
        self.pcs.push(pc);
        self.ordinals.push(*ordinal);
    }

    /// The best place for a breakpoint on the way to `k`. A hit costs as much as three steps.
    fn landmark(&self, k: usize) -> usize {
        let cost = |j: &usize| (k - j) + 3 * self.ordinals[*j] as usize;
        (0..=k).rev().take(20_000).min_by_key(cost).unwrap_or(k)
    }
}

/// What a step came to.
pub enum Step {
    At(u64),
    /// The operation is over.
    Over,
}

impl Tracee {
    /// Forks a child that prepares something, then stops before what is to be done.
    pub fn start(prepare: impl FnOnce() -> Box<dyn FnOnce()>) -> Self {
        // SAFETY: this process has one thread, so a forked child can do anything.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => be_traced(prepare),
            pid => {
                let mut tracee = Self { pid, over: false };
                assert!(libc::WIFSTOPPED(tracee.wait()), "the child ends before its operation");
                request(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_EXITKILL as u64);
                tracee.run_to(address(begin), 1);
                assert!(!tracee.over, "the child never begins its operation");
                tracee
            }
        }
    }

    fn wait(&mut self) -> i32 {
        let mut status = 0;
        loop {
            // SAFETY: the status outlives the call.
            let pid = unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL) };
            if pid == self.pid {
                break;
            }
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
        }
        if !libc::WIFSTOPPED(status) {
            self.over = true;
        }
        status
    }

    /// Executes one instruction.
    pub fn step(&mut self) -> Step {
        self.resume(libc::PTRACE_SINGLESTEP);
        if self.over {
            return Step::Over;
        }
        let pc = self.pc();
        if pc == address(end) {
            self.over = true;
            return Step::Over;
        }
        Step::At(pc)
    }

    /// Lets it go on; signals that are none of ours reach it.
    fn resume(&mut self, how: u32) {
        let mut signal = 0;
        loop {
            request(how, self.pid, 0, signal);
            let status = self.wait();
            if self.over || libc::WSTOPSIG(status) == libc::SIGTRAP {
                return;
            }
            signal = libc::WSTOPSIG(status) as u64;
        }
    }

    /// Runs until it is to execute the instruction there for the `nth` time, now included.
    fn run_to(&mut self, pc: u64, nth: u32) {
        if cfg!(not(target_arch = "x86_64")) {
            let mut left = nth - u32::from(self.pc() == pc);
            while left > 0 && !self.over {
                left -= u32::from(matches!(self.step(), Step::At(at) if at == pc));
            }
            return;
        }
        let word = peek(self.pid, pc);
        for hit in 0..nth {
            if hit > 0 {
                self.resume(libc::PTRACE_SINGLESTEP);
            }
            request(libc::PTRACE_POKETEXT, self.pid, pc, word & !0xff | 0xcc);
            self.resume(libc::PTRACE_CONT);
            if self.over {
                return;
            }
            self.set_pc(pc);
            request(libc::PTRACE_POKETEXT, self.pid, pc, word);
        }
    }

    /// Goes on, from the beginning, until `k` instructions of a trace are done. `false` when it came elsewhere.
    pub fn reach(&mut self, trace: &Trace, k: usize) -> bool {
        let landmark = trace.landmark(k);
        if landmark > 0 {
            self.run_to(trace.pcs[landmark], trace.ordinals[landmark]);
        }
        for _ in landmark..k {
            if self.over || matches!(self.step(), Step::Over) {
                return false;
            }
        }
        !self.over && self.pc() == trace.pcs[k]
    }

    /// Lets it finish the operation.
    pub fn complete(&mut self) {
        if !self.over {
            self.run_to(address(end), 1);
        }
    }

    /// SIGKILL, and waits until it is dead.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        let mut status = 0;
        // SAFETY: the child was not reaped yet, or the number is nobody's: then both calls only fail.
        unsafe {
            if libc::kill(self.pid, libc::SIGKILL) == 0 {
                while libc::waitpid(self.pid, &mut status, libc::__WALL) == self.pid && libc::WIFSTOPPED(status) {}
            }
        }
        self.pid = -1;
    }

    #[cfg(target_arch = "x86_64")]
    pub fn pc(&self) -> u64 {
        const RIP: u64 = 16 * 8;
        // SAFETY: it reads a register of a stopped child.
        unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, self.pid, RIP, 0) as u64 }
    }

    #[cfg(target_arch = "x86_64")]
    fn set_pc(&self, pc: u64) {
        const RIP: u64 = 16 * 8;
        request(libc::PTRACE_POKEUSER, self.pid, RIP, pc);
    }

    #[cfg(target_arch = "aarch64")]
    pub fn pc(&self) -> u64 {
        let mut registers = [0_u64; 34];
        let mut area = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(&registers) };
        request(libc::PTRACE_GETREGSET, self.pid, libc::NT_PRSTATUS as u64, &raw mut area as u64);
        registers[32]
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn set_pc(&self, _: u64) {}
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.pid > 0 {
            self.kill_now();
        }
    }
}

fn be_traced(prepare: impl FnOnce() -> Box<dyn FnOnce()>) -> ! {
    // SAFETY: plain system calls; the child leaves by `_exit`, without destructors of what belongs to its parent.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let operation = prepare();
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
            begin();
            operation();
            end();
        }));
        libc::_exit(if done.is_ok() { 0 } else { 101 })
    }
}

fn request(request: u32, pid: i32, address: u64, data: u64) {
    // SAFETY: it concerns a stopped child of ours; where an address of this process is given, it is alive.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    // A child that something else has killed is met by the next wait.
    assert!(result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH), "ptrace: {request}");
}

fn peek(pid: i32, address: u64) -> u64 {
    // SAFETY: it reads a word of a stopped child.
    unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, pid, address, 0) as u64 }
}

/// Whether the instruction there enters the kernel. The child was forked from this process: its code is ours.
pub fn is_system_call(pc: u64) -> bool {
    let code = pc as usize as *const u8;
    // SAFETY: a child that was forked from here executed the code there, so it is mapped here too.
    let bytes = unsafe { [ptr::read_volatile(code), ptr::read_volatile(code.add(1))] };
    if cfg!(target_arch = "x86_64") { bytes == [0x0f, 0x05] } else { bytes[0] == 1 && pc.is_multiple_of(4) }
}

/// The processors that this process may run on.
pub fn processors() -> Vec<usize> {
    // SAFETY: the set is plain old data, and lives as long as the calls.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        (0..libc::CPU_SETSIZE as usize).filter(|processor| libc::CPU_ISSET(*processor, &set)).collect()
    }
}

/// Keeps this process and all that it forks on that processor: a step takes 2 to 20 µs there, and three times as long
/// between two.
pub fn stay_on(processor: usize) {
    // SAFETY: the set is plain old data, and lives as long as the calls.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}
