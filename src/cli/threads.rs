//! Loops on threads of this process, each pinned to a CPU of its own.

use std::thread;

use super::Failure;

/// What one thread runs.
pub(super) type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs the jobs, the n-th pinned to the n-th of these CPUs where there is one, to their end.
///
/// # Errors
/// One panicked, or could not be started.
pub(super) fn run(jobs: Vec<Job<'_>>, cpus: &[usize]) -> Result<(), Failure> {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs
            .into_iter()
            .enumerate()
            .map(|(n, job)| {
                let cpu = cpus.get(n).copied();
                thread::Builder::new().name(format!("loop-{n}")).spawn_scoped(scope, move || {
                    if let Some(id) = cpu {
                        // A machine that does not let us is no reason to stop.
                        let _ = core_affinity::set_for_current(core_affinity::CoreId { id });
                    }
                    job();
                })
            })
            .collect();
        let mut result = Ok(());
        for thread in threads {
            let started = thread.map_err(|error| Failure::run(format!("no thread can be started: {error}")));
            let ended = started.and_then(|thread| {
                thread.join().map_err(|_| Failure::run("a loop failed: please report it"))
            });
            result = result.and(ended);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn every_job_runs_to_its_end_and_a_panic_is_a_failure() {
        let done = AtomicU32::new(0);
        let job = || -> Job<'_> {
            Box::new(|| {
                done.fetch_add(1, Ordering::Relaxed);
            })
        };
        assert_eq!(run(vec![job(), job(), job()], &[0]), Ok(()));
        assert_eq!(done.load(Ordering::Relaxed), 3);
        let failed = run(vec![Box::new(|| panic!("on purpose")), job()], &[]);
        assert_eq!(failed, Err(Failure::run("a loop failed: please report it")));
        assert_eq!(done.load(Ordering::Relaxed), 4, "the others are not left alone");
    }
}
