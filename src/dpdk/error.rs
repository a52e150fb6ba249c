//! What can go wrong with DPDK, each as one sentence that names the cause and the cure. No error of this layer
//! is raised while frames are moved: there, a count or an empty burst says it all.

use std::ffi::CStr;

use thiserror::Error;

/// EAL did not start, or started with less than was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EalError {
    /// EAL keeps its state in the process and cannot be started twice, not even after a failure.
    #[error("EAL was started in this process before and can be started only once: start the program again")]
    AlreadyStarted,
    /// An option holds a zero byte, which ends a string in C.
    #[error("the EAL option {0:?} holds a zero byte, which no option may")]
    ZeroByte(String),
    /// The options were refused.
    #[error(
        "EAL refuses its options ({reason}): `dpdk-tcp --help` says which options are EAL's and which are ours"
    )]
    Options {
        /// EAL's own words.
        reason: String,
    },
    /// An option that EAL does not know.
    #[error(
        "EAL has no option `{option}`: our own options stand after `--`, as in `dpdk-tcp -l 0 -- serve {option}`"
    )]
    UnknownOption {
        /// The option as it was written.
        option: String,
    },
    /// A core that the machine does not have or that EAL may not use.
    #[error("EAL refuses the core list ({reason}): ask for cores that are online, as in `-l 0`")]
    Cores {
        /// EAL's own words.
        reason: String,
    },
    /// Words that EAL left unused.
    #[error("EAL has no use for `{0}`: commands and their options stand after `--`")]
    UnusedWords(String),
    /// No hugepages are reserved.
    #[error(
        "no hugepages are reserved: run `scripts/hugepages 512` as root, or add `--no-huge --no-shconf -m 512` to \
         do without them, slowly"
    )]
    NoHugepages,
    /// Pages are reserved, but no file system of theirs is mounted.
    #[error(
        "hugepages are reserved but no hugetlbfs is mounted for them ({reason}): run `scripts/hugepages` as root, \
         or add `--in-memory`"
    )]
    NoHugeMount {
        /// EAL's own words.
        reason: String,
    },
    /// Fewer pages are free than were asked for.
    #[error(
        "there is less free memory than was asked for ({reason}): reserve more with `scripts/hugepages PAGES` as \
         root, or ask for less with `-m MEGABYTES`"
    )]
    NotEnoughMemory {
        /// EAL's own words.
        reason: String,
    },
    /// Files on the hugetlbfs belong to somebody else.
    #[error(
        "the hugepages may not be used by this user ({reason}): run as root, or add `--in-memory`, or `--no-huge \
         --no-shconf -m 512`"
    )]
    HugepagePermission {
        /// EAL's own words.
        reason: String,
    },
    /// EAL's directory for files of its run cannot be written.
    #[error(
        "EAL cannot write its run-time directory ({reason}): set RUNTIME_DIRECTORY to a directory that you may write"
    )]
    RuntimeDirectory {
        /// EAL's own words.
        reason: String,
    },
    /// Another primary process has the same file prefix.
    #[error(
        "another DPDK program runs with the same file prefix ({reason}): stop it, or add `--in-memory` or a \
         `--file-prefix` of your own"
    )]
    SecondPrimary {
        /// EAL's own words.
        reason: String,
    },
    /// A secondary process was asked for and there is no primary.
    #[error("there is no primary process to join ({reason}): leave `--proc-type` out")]
    NoPrimary {
        /// EAL's own words.
        reason: String,
    },
    /// A `--vdev` names a driver that this DPDK does not have.
    #[error(
        "no driver takes the device `{device}`: look at its name (net_tap0, net_null0, net_memif0, ...), and \
         whether the driver's package is installed (`apt-get install librte-meta-all`)"
    )]
    UnknownDriver {
        /// The device's name.
        device: String,
    },
    /// A device that was asked for is not there, though EAL started.
    #[error("the device `{device}` did not appear ({reason}): {cure}")]
    DeviceAbsent {
        /// The device's name.
        device: String,
        /// The driver's own words.
        reason: String,
        /// What to do.
        cure: &'static str,
    },
    /// Anything else.
    #[error(
        "EAL did not start ({reason}): see the guide of DPDK's Linux environment, or try with `--log-level=*:debug`"
    )]
    Other {
        /// EAL's last words, or what the error number means.
        reason: String,
    },
    /// Clean-up was asked for while ports or pools are in use.
    #[error("EAL cannot be cleaned up while ports or pools are in use: drop them first")]
    StillInUse,
    /// EAL's clean-up failed.
    #[error("EAL could not be cleaned up ({reason}): look for files left in /dev/hugepages")]
    Cleanup {
        /// What the error number means.
        reason: String,
    },
}

/// A pool of frames could not be made.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PoolError {
    /// There is not enough memory in EAL's hands.
    #[error(
        "the pool `{name}` of {mbufs} frames needs {megabytes} MB and EAL has not that much: reserve {pages} pages \
         with `scripts/hugepages {pages}` as root, or with `--no-huge` ask for `-m {megabytes}` or more"
    )]
    NoMemory {
        /// The pool's name.
        name: String,
        /// Its size in frames.
        mbufs: u32,
        /// Memory that is surely enough, in megabytes of 2^20 bytes.
        megabytes: u64,
        /// The same in pages of 2 MB.
        pages: u64,
    },
    /// The name is taken, too long, or another argument is not possible.
    #[error("the pool `{name}` of {mbufs} frames cannot be made ({reason}): use another name or size")]
    Refused {
        /// The pool's name.
        name: String,
        /// Its size in frames.
        mbufs: u32,
        /// What the error number means.
        reason: String,
    },
}

/// Frames are missing at the end.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "{missing} of the {size} frames of the pool `{pool}` did not come back{allowed}: this is a leak, please report it"
)]
pub struct LeakError {
    /// The pool's name.
    pub pool: String,
    /// Frames that are out and that nobody is known to keep.
    pub missing: u32,
    /// The pool's size in frames.
    pub size: u32,
    /// Empty, or who else keeps how many frames and why.
    pub allowed: String,
}

/// A port cannot be found, configured, started or closed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PortError {
    /// EAL found no port at all.
    #[error(
        "EAL found no port: bind a NIC with `scripts/bind ADDRESS`, or add a virtual device such as `--vdev \
         net_tap0`"
    )]
    NoPort,
    /// No port has this index or name.
    #[error("there is no port `{wanted}`: the ports are {known}")]
    Unknown {
        /// The index or name that was asked for.
        wanted: String,
        /// The ports that are there.
        known: String,
    },
    /// The MTU cannot be had.
    #[error(
        "the port {port} ({driver}) cannot carry packets of {asked} bytes ({reason}): use `--mtu {fits}` or less"
    )]
    Mtu {
        /// The port's name.
        port: String,
        /// Its driver.
        driver: String,
        /// The MTU asked for, in bytes.
        asked: u16,
        /// An MTU that it can have.
        fits: u16,
        /// Why not.
        reason: String,
    },
    /// More queues than the device has, or a queue that is in use.
    #[error(
        "the port {port} has no queue {queue} to give ({reason}): configure as many queues as there are loops, and take each once"
    )]
    Queue {
        /// The port's name.
        port: String,
        /// The queue's number, from 0.
        queue: u16,
        /// Why not.
        reason: &'static str,
    },
    /// A step failed for the driver's own reasons.
    #[error("the port {port} ({driver}) cannot be {step} ({reason}): {cure}")]
    Driver {
        /// The port's name.
        port: String,
        /// Its driver.
        driver: String,
        /// What was tried: configured, started, stopped or closed.
        step: &'static str,
        /// The driver's own words, or what the error number means.
        reason: String,
        /// What to do.
        cure: &'static str,
    },
    /// A port is configured and in use.
    #[error("the port {port} is in use: close it before it is configured again")]
    Claimed {
        /// The port's name.
        port: String,
    },
    /// A port was to be closed while its queues are in use.
    #[error("a port cannot be closed while its queues are in use: drop them first")]
    StillInUse,
    /// A pair of joined ports could not be made.
    #[error(
        "the cable `{name}` cannot be made ({reason}): use another name, or slots that are a power of two"
    )]
    Cable {
        /// The cable's name.
        name: String,
        /// What the error number means.
        reason: String,
    },
}

/// Jobs could not be started on their cores.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LaunchError {
    /// EAL has no such core.
    #[error("lcore {0} is not one of EAL's: ask for it with `-l` or `--lcores`")]
    NoSuchLcore(u32),
    /// Two jobs for one core.
    #[error("lcore {0} is given two jobs and can run one: give each job a core of its own")]
    Twice(u32),
    /// The core still runs another job.
    #[error("lcore {0} is busy with an earlier job: wait for that first")]
    Busy(u32),
    /// Only the main lcore may start the others.
    #[error("jobs are started from the main lcore only: call from the thread that started EAL")]
    NotMain,
}

/// What DPDK says of an error number; its sign does not matter.
pub(super) fn strerror(number: i32) -> String {
    // SAFETY: rte_strerror takes any number and returns a string of its own that ends in a zero byte and stays
    // unchanged at least until this thread calls it again; it is copied at once.
    let text = unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(number.saturating_abs())) };
    text.to_string_lossy().into_owned()
}

/// The error number of the last call of DPDK on this thread that failed.
pub(super) fn errno() -> i32 {
    // SAFETY: reads a thread-local variable.
    unsafe { dpdk_sys::dt_errno() }
}
