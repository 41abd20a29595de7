//! Processes: forked, stopped, killed, reaped.

/// The niceness of the one who kills, and of who is to stop or die: all others wait for processors, and these must not.
pub const HURRY: i32 = -15;

/// Gives a process, or this one (0), a niceness. Only root may make it less; for others all stays as it is.
pub fn hurry(pid: i32, niceness: i32) {
    // SAFETY: it takes numbers; a process that has ended meanwhile is an error that harms nobody.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, pid as libc::id_t, niceness) };
}

/// Forks a process that does only this.
pub fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread, so a forked child can do anything; it leaves by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: plain system calls.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            hurry(0, 0);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: as above.
            unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
        }
        pid => pid,
    }
}

pub fn signal(pid: i32, signal: i32) {
    // SAFETY: the child was not waited for yet, so the number still means it.
    unsafe { libc::kill(pid, signal) };
}

/// Stops a process; `false` when it has ended instead.
pub fn stop(pid: i32) -> bool {
    signal(pid, libc::SIGSTOP);
    hurry(pid, HURRY);
    let mut status = 0;
    // SAFETY: the status outlives the call.
    unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) == pid && libc::WIFSTOPPED(status) }
}

/// SIGKILL, and waits until it is dead.
pub fn kill(pid: i32) {
    signal(pid, libc::SIGKILL);
    hurry(pid, HURRY);
    reap(pid);
}

pub fn reap(pid: i32) {
    // SAFETY: a child of ours that was not waited for yet.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// Kills a process and takes its memory away at once, as the OOM killer does: before its threads have ended.
pub fn kill_and_release(pid: i32) -> bool {
    // SAFETY: plain system calls on a child that was not waited for yet; the descriptor is closed.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        libc::kill(pid, libc::SIGKILL);
        let released = libc::syscall(libc::SYS_process_mrelease, fd, 0) == 0;
        libc::close(fd);
        released
    }
}

/// Lets a stopped process go on, with no more hurry than others.
pub fn go_on(pid: i32) {
    hurry(pid, 0);
    signal(pid, libc::SIGCONT);
}
