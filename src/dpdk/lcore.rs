//! EAL's cores: pinned threads that each run one job at a time, the calling thread (the main lcore) included.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::eal::Eal;
use super::error::LaunchError;

/// What one core runs; the number it returns is handed back.
pub type Job = Box<dyn FnOnce() -> i32 + Send>;

/// One of EAL's cores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lcore {
    /// EAL's number for it.
    pub id: u32,
    /// It is the one that started EAL.
    pub main: bool,
    /// CPUs that its thread may run on; more than one means that it floats.
    pub cpus: Vec<u32>,
    /// Its NUMA node.
    pub socket: u32,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It returned this number.
    With(i32),
    /// It panicked with this message.
    Panicked(String),
    /// EAL would not start it.
    NotStarted,
}

/// All cores that EAL has, in the order of their numbers.
pub fn lcores(_eal: &Eal) -> Vec<Lcore> {
    // SAFETY: EAL is started; it only reads its configuration.
    let main = unsafe { dpdk_sys::rte_get_main_lcore() };
    let mut found = Vec::new();
    let mut id = u32::MAX;
    loop {
        // SAFETY: EAL is started; u32::MAX begins the walk, after which the last answer continues it.
        id = unsafe { dpdk_sys::rte_get_next_lcore(id, 0, 0) };
        if id >= dpdk_sys::RTE_MAX_LCORE {
            return found;
        }
        // SAFETY: the number is one that EAL has just given.
        let (set, socket) = unsafe { (dpdk_sys::rte_lcore_cpuset(id), dpdk_sys::rte_lcore_to_socket_id(id)) };
        let bits = set.__bits.iter().enumerate();
        let cpus = bits.flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        });
        found.push(Lcore { id, main: id == main, cpus: cpus.collect(), socket });
    }
}

/// A job with a place for its result. The core writes it, the main lcore reads it after the wait.
struct Place {
    job: UnsafeCell<Option<Job>>,
    ended: UnsafeCell<Ended>,
}

/// Runs a job where C called for it. A panic ends here and does not reach C.
unsafe extern "C" fn run(place: *mut c_void) -> c_int {
    // SAFETY: `place` was made from a reference in `launch`, which waits for this function to return before the
    // Place goes; until then nobody else looks into its cells.
    let (job, ended) = unsafe {
        let place = &*place.cast::<Place>();
        (&mut *place.job.get(), &mut *place.ended.get())
    };
    if let Some(job) = job.take() {
        *ended = match catch_unwind(AssertUnwindSafe(job)) {
            Ok(status) => Ended::With(status),
            Err(cause) => Ended::Panicked(message(cause.as_ref())),
        };
    }
    0
}

fn message(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Starts each job on its core, the main lcore's own last, and waits until all have ended. The results come in
/// the order of the jobs.
///
/// # Errors
/// Called from another thread than the one that started EAL; a core that EAL does not have, that has two jobs
/// or that is busy. Then no job has run.
pub fn launch(eal: &Eal, jobs: Vec<(u32, Job)>) -> Result<Vec<(u32, Ended)>, LaunchError> {
    // SAFETY: both only read.
    let (main, own) = unsafe { (dpdk_sys::rte_get_main_lcore(), dpdk_sys::dt_lcore_id()) };
    if own != main {
        return Err(LaunchError::NotMain);
    }
    let known = lcores(eal);
    for (index, (id, _)) in jobs.iter().enumerate() {
        if !known.iter().any(|lcore| lcore.id == *id) {
            return Err(LaunchError::NoSuchLcore(*id));
        }
        if jobs.iter().take(index).any(|(other, _)| other == id) {
            return Err(LaunchError::Twice(*id));
        }
        // SAFETY: the number is one of EAL's; it only reads.
        if *id != main && unsafe { dpdk_sys::rte_eal_get_lcore_state(*id) } != dpdk_sys::WAIT {
            return Err(LaunchError::Busy(*id));
        }
    }
    let places: Vec<(u32, Place)> = jobs
        .into_iter()
        .map(|(id, job)| {
            (id, Place { job: UnsafeCell::new(Some(job)), ended: UnsafeCell::new(Ended::NotStarted) })
        })
        .collect();
    let argument = |place: &Place| std::ptr::from_ref(place).cast_mut().cast::<c_void>();
    for (id, place) in places.iter().filter(|(id, _)| *id != main) {
        // SAFETY: the core is one of EAL's and not the main one. The Place lives until the wait below and is not
        // touched before. A core that refuses leaves its Place as it is, which then says NotStarted.
        unsafe { dpdk_sys::rte_eal_remote_launch(Some(run), argument(place), *id) };
    }
    for (_, place) in places.iter().filter(|(id, _)| *id == main) {
        // SAFETY: as above, on this thread.
        unsafe { run(argument(place)) };
    }
    for (id, _) in places.iter().filter(|(id, _)| *id != main) {
        // SAFETY: the core is one of EAL's and not the main one, and this is the main lcore.
        unsafe { dpdk_sys::rte_eal_wait_lcore(*id) };
    }
    Ok(places.into_iter().map(|(id, place)| (id, place.ended.into_inner())).collect())
}
