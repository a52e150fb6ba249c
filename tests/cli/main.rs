//! The command line as a user meets it: the program itself, without devices. Whatever is wrong ends with one
//! sentence that names the cause and the cure, and with the status that scripts can rely on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod check;
#[cfg(feature = "dpdk")]
mod eal;
mod kernel;
mod measured;
mod results;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No command line here takes longer.
const TIME_MAX: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A directory for EAL's files of one run, taken away afterwards.
pub(crate) struct RunTime(PathBuf);

impl RunTime {
    /// A new one.
    pub(crate) fn new() -> RunTime {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("dpdk-tcp-cli-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        RunTime(dir)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunTime {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a run ended.
pub(crate) struct Ended {
    /// `None` where a signal ended it.
    pub(crate) status: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) out: String,
    /// What it wrote to stderr.
    pub(crate) err: String,
}

/// Starts the program, its output going to files in the directory.
pub(crate) fn start(words: &[&str], run_time: &RunTime) -> Child {
    let file = |name| fs::File::create(run_time.0.join(name)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_dpdk-tcp"))
        .args(words)
        .env("RUNTIME_DIRECTORY", run_time.path())
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .spawn()
        .unwrap()
}

/// Waits for its end.
#[track_caller]
pub(crate) fn end(mut child: Child, run_time: &RunTime) -> Ended {
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > TIME_MAX {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = |name| fs::read_to_string(run_time.0.join(name)).unwrap();
    Ended { status: status.code(), out: text("out"), err: text("err") }
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(words: &[&str]) -> Ended {
    let run_time = RunTime::new();
    end(start(words, &run_time), &run_time)
}

/// The words of a line; quotes are for shells.
pub(crate) fn split(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// It ended with this status and one sentence that has this part, and nothing else.
#[track_caller]
pub(crate) fn is_refused(words: &[&str], status: i32, part: &str) {
    let Ended { status: found, out, err } = run(words);
    let shown = format!("{words:?}: {found:?}\n{out}{err}");
    assert_eq!((found, out.as_str()), (Some(status), ""), "{shown}");
    let mut lines = err.lines();
    let sentence = lines.next().unwrap_or_default();
    assert!(sentence.starts_with("dpdk-tcp: ") && sentence.contains(part), "{part:?} is missing in {shown}");
    assert_eq!(lines.next(), None, "{shown}");
    assert!(!err.contains("panicked") && !err.contains("EAL: "), "{shown}");
}
