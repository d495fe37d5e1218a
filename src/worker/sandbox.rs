//! Shuts the calling process in before it reads what strangers made. From then on it can open nothing but the system's libraries and
//! the one file that it was given, for reading; it makes no connection, starts no process, and gets only so much memory. What it has
//! open already, the socket to the parent, stays. To be called while there is one thread: those that follow inherit all of it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::fs::FileType;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// What decoders need of the system: libraries and what they read when they begin.
const READABLE: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
];

/// Memory that it may fill, bytes: a film of 3840x2160 in ten bits is decoded with less.
const MEMORY: u64 = 2 << 30;
/// Addresses that it may use, bytes; most of them stand for nothing.
const ADDRESSES: u64 = 16 << 30;
/// Open files at once.
const FILES: u64 = 256;

/// Shuts the process in; `file` stays readable, under another name too.
///
/// # Errors
/// A sentence, where the kernel does not take it: nothing of strangers must be read then. A kernel without Landlock is only told of in
/// the log; what keeps it from the network and from other processes works everywhere.
pub fn enter(file: impl AsFd, idle: bool) -> Result<(), String> {
    limit(Resource::Data, MEMORY)?;
    limit(Resource::As, ADDRESSES)?;
    limit(Resource::Nofile, FILES)?;
    limit(Resource::Core, 0)?;
    // A film takes minutes of the processor; without one it is a picture that somebody waits for, unless it is said to be `idle`.
    if idle || rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    {
        yield_to_others();
    }
    close_file_system(file).map_err(|error| format!("Landlock: {error}"))?;
    let filter = system_calls().map_err(|error| format!("seccomp: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("seccomp: {error}"))
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    let limits = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limits).map_err(|error| format!("a limit: {error}"))
}

/// Runs when nobody else wants to. What fails leaves it faster than it should be, no more.
#[allow(unsafe_code)]
fn yield_to_others() {
    let _ = nice(19);
    // SAFETY: sched_param is plain numbers, for which zero is a value, and the pointer is to our own.
    let set = unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters)
    };
    if set != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "it runs at a low priority, not an idle one");
    }
}

fn close_file_system(file: impl AsFd) -> Result<(), landlock::RulesetError> {
    let newest = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rule(PathBeneath::new(file, AccessFs::ReadFile))?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        tracing::warn!("this kernel has no Landlock: what reads files of strangers can read others, too");
    }
    Ok(())
}

/// What is not named here is answered as if the kernel did not know it, which libraries are prepared for.
fn system_calls() -> Result<BpfProgram, seccompiler::BackendError> {
    let equal =
        |argument: u8, value: u64| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    let thread = libc::CLONE_THREAD as u64;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Threads, and no processes; `clone3` tells what it makes where no filter can see it.
    let thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread])?]);
    // By pairs of sockets that lead nowhere else threads are woken.
    rules.insert(libc::SYS_socketpair, vec![SeccompRule::new(vec![equal(0, libc::AF_UNIX as u64)?])?]);
    // Its own threads' names, limits and end.
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![equal(0, libc::PR_SET_NAME as u64)?])?]);
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![equal(0, 0)?])?]);
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![equal(0, u64::from(std::process::id()))?])?]);
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, unknown, SeccompAction::Allow, architecture)?.try_into()
}

const ALLOWED: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // What is open, and what may be opened.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_fadvise64,
    libc::SYS_dup,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getattr,
    libc::SYS_sched_setattr,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getpriority,
    libc::SYS_getcpu,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // What it is and has.
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Older names of the same.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
];

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::net::TcpStream;
    use std::process::Command;

    use super::*;

    /// The thread that this runs in is shut in, and no other: the limits of the whole process are left as they are.
    #[test]
    fn only_the_given_file_and_libraries_can_be_read_and_nothing_else_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let (given, other) = (folder.path().join("given"), folder.path().join("other"));
        std::fs::write(&given, b"a film").unwrap();
        std::fs::write(&other, b"a secret").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (open, new) = (File::open(&given).unwrap(), folder.path().join("new"));
        let shut_in = std::thread::spawn(move || {
            close_file_system(&open).unwrap();
            seccompiler::apply_filter(&system_calls().unwrap()).unwrap();
            let mut film = String::new();
            File::open(&given).unwrap().read_to_string(&mut film).unwrap();
            assert_eq!(film, "a film");
            assert!(File::open(&other).is_err(), "another file");
            assert!(File::options().write(true).open(&given).is_err(), "writing");
            assert!(File::create(&new).is_err(), "a new file");
            assert!(std::fs::remove_file(&given).is_err(), "deleting");
            assert!(File::open("/usr").is_ok(), "libraries");
            assert!(TcpStream::connect(address).is_err(), "the network");
            assert!(Command::new("/bin/true").spawn().is_err(), "a process");
            assert_eq!(
                std::thread::spawn(move || TcpStream::connect(address).is_err()).join().ok(),
                Some(true),
                "a thread"
            );
        });
        shut_in.join().unwrap();
        assert!(TcpStream::connect(address).is_ok());
    }
}
