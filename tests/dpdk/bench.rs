//! The command `bench` as a user runs it: both ends over rings in one process, with and without hugepages and root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use dpdk_tcp::telemetry::json;
use dpdk_tcp::telemetry::run::{Document, Run, Side};

use crate::{child, lab, socket};

/// Short runs of all profiles: nothing here is about speed.
const SHORT: &[&str] = &["--ramp", "50ms", "--time-wait", "100ms", "--duration", "300ms"];
/// EAL without hugepages.
const NO_HUGE: &[&str] = &["--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "128"];
/// Nobody.
const NOBODY: &str = "65534";

/// A directory that anybody may write to, with a copy of the program, since nobody may look into ours.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let dir = std::env::temp_dir().join(lab::unique("dpdk-tcp-bench-"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        Place(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn program(&self) -> String {
        let copy = self.file("dpdk-tcp");
        fs::copy(env!("CARGO_BIN_EXE_dpdk-tcp"), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        copy
    }

    fn command(&self, program: &str, words: &[&[&str]]) -> Command {
        let mut command = Command::new(program);
        command.args(words.concat()).args(["--json", &self.file("run.json")]);
        command.env("RUNTIME_DIRECTORY", &self.0).stdin(Stdio::null());
        command
    }

    fn document(&self) -> Document {
        json::read(&fs::read(self.file("run.json")).unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A good end with every frame back; what was written.
#[track_caller]
fn good(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("all frames are back"), "{out}");
    out
}

/// Runs the program with these words in front of its own; its document and what it wrote.
#[track_caller]
fn bench(words: &[&[&str]]) -> (Document, String) {
    let place = Place::new();
    let output = place.command(env!("CARGO_BIN_EXE_dpdk-tcp"), words).output().unwrap();
    let out = good(&output);
    (place.document(), out)
}

/// Both sides counted the same connections, all of which ended as planned.
#[track_caller]
fn assert_same(run: &Run) {
    let side = |side: &Option<Side>| side.as_ref().unwrap().account.clone();
    let (client, server) = (side(&run.client), side(&run.server));
    assert!(client.attempted > 100, "{client:?}");
    assert_eq!(client.attempted, client.closed_all(), "{}: {client:?}", run.profile);
    assert_eq!((server.attempted, server.established), (client.attempted, client.established));
    assert_eq!(server.closed_all(), client.closed_all(), "{}: {server:?}", run.profile);
    assert_eq!((server.in_flight, server.open), (0, 0), "{server:?}");
    assert!(run.losses.is_empty(), "{:?}", run.losses);
}

#[track_caller]
fn assert_all_profiles(document: &Document) {
    let profiles: Vec<_> = document.runs.iter().map(|run| run.profile.as_str()).collect();
    assert_eq!(profiles, ["open", "open-close", "crr"]);
    document.runs.iter().for_each(assert_same);
}

#[test]
fn without_any_other_word_both_sides_count_the_same() {
    let (document, out) = bench(&[&["bench"], SHORT]);
    assert_all_profiles(&document);
    assert_eq!(document.device.driver, "net_ring");
    let huge = document.machine.pages.starts_with("hugetlb");
    assert_eq!(out.contains("without hugepages"), !huge, "{}: {out}", document.machine.pages);
}

#[test]
fn without_hugepages_it_says_that_it_is_slower() {
    let (document, out) = bench(&[&["-l", "0"], NO_HUGE, &["--", "bench", "--cores", "1"], SHORT]);
    assert_all_profiles(&document);
    assert_eq!(document.machine.pages, "4 KiB");
    assert_eq!(out.matches("without hugepages").count(), 1, "{out}");
}

#[test]
fn with_the_user_s_own_words_for_eal_those_count() {
    let Some(cpus) = two_cpus() else { return println!("it is left out: it needs two CPUs") };
    let memory: &[&str] = if has_pages() { &["--no-pci", "--in-memory"] } else { NO_HUGE };
    let (document, _) = bench(&[&["-l", cpus], memory, &["--", "bench", "--cores", "2"], SHORT]);
    assert_all_profiles(&document);
    assert!(document.runs.iter().all(|run| run.cores == 2));
    assert_eq!(document.machine.pages.starts_with("hugetlb"), has_pages());
}

#[test]
fn more_cores_than_eal_has_are_refused() {
    let place = Place::new();
    let words: &[&[&str]] = &[&["-l", "0"], NO_HUGE, &["--", "bench", "--cores", "2"]];
    let output = place.command(env!("CARGO_BIN_EXE_dpdk-tcp"), words).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("--cores 2 needs as many lcores, and EAL has 1"), "{err}");
}

#[test]
fn frames_whose_sums_are_marked_as_good_are_the_same_connections() {
    let words = ["bench", "--cores", "1", "--checksums", "marked", "--profile", "crr"];
    let (document, _) = bench(&[&words, SHORT]);
    assert_eq!(document.device.checksums, "marked as done by the link");
    document.runs.iter().for_each(assert_same);
}

#[test]
fn nobody_may_run_it() {
    if !has_setpriv() {
        return println!("it is left out: it needs root, and `setpriv`");
    }
    let place = Place::new();
    let program = place.program();
    let as_nobody: &[&str] = &["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", &program];
    let output = place.command("setpriv", &[as_nobody, &["bench"], SHORT]).output().unwrap();
    good(&output);
    assert_all_profiles(&place.document());
    // The same where nobody has reserved any pages.
    let eal: &[&str] = &["-l", "0"];
    let words = [as_nobody, eal, NO_HUGE, &["--", "bench", "--cores", "1", "--profile", "crr"], SHORT];
    let out = good(&place.command("setpriv", &words).output().unwrap());
    assert!(out.contains("without hugepages"), "{out}");
    place.document().runs.iter().for_each(assert_same);
}

#[test]
fn a_signal_in_the_middle_ends_the_run_and_leaves_out_what_follows() {
    let place = Place::new();
    let words: &[&[&str]] = &[&["bench", "--cores", "1", "--duration", "1m", "--profile", "crr,open"]];
    let out = fs::File::create(place.file("out")).unwrap();
    let mut command = place.command(env!("CARGO_BIN_EXE_dpdk-tcp"), words);
    let mut child = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
    let text = || fs::read_to_string(place.file("out")).unwrap();
    let mut ended = None;
    lab::wait_until("a line", || {
        ended = child.try_wait().unwrap();
        ended.is_some() || text().contains("/s  opened ")
    });
    assert!(ended.is_none(), "{ended:?} {}", text());
    socket::signal(child.id(), libc::SIGINT);
    lab::wait_until("its end", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0), "{}", text());
    assert!(text().contains("all frames are back"), "{}", text());
    let document = place.document();
    assert_eq!(document.runs.len(), 1);
    assert_same(&document.runs[0]);
}

/// Enough free pages of 2 MiB for the bench.
fn has_pages() -> bool {
    child::free_hugetlb() >= 256 << 20
}

fn has_setpriv() -> bool {
    let words = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "true"];
    let tried = Command::new("setpriv").args(words).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// A list of two CPUs, where there are two.
fn two_cpus() -> Option<&'static str> {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > 1).then_some("0,1")
}
