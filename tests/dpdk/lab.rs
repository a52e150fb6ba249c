//! A network namespace of a test's own with the real program in it, on one end of a tap whose other end is the
//! kernel's. Both go with the test, however it ends: the program by its id, the namespace by its name.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::child;
use crate::socket;

/// The tap's name in every namespace.
pub const TAP: &str = "dtap0";
/// The program's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// How long anything may take that is not the subject of a test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Parts one lab of this process from the next.
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub fn unique(what: &str) -> String {
    format!("{what}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A port of the program's address.
pub fn server(port: u16) -> SocketAddr {
    SocketAddr::from((SERVER, port))
}

/// Waits until `done` holds; fails with `what` when that takes longer than [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A network namespace, without IPv6, that is removed when this goes.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Its name, for `ip`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `body` on a thread that is in it.
    #[track_caller]
    pub fn run(&self, body: impl FnOnce() + Send) {
        let inside = || {
            socket::enter_namespace(&self.name);
            body();
        };
        if let Err(cause) = thread::scope(|scope| scope.spawn(inside).join()) {
            panic::resume_unwind(cause);
        }
    }

    /// `None` where it cannot be made.
    pub fn new() -> Option<Namespace> {
        let name = unique("dpdk-tcp-test-");
        let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
        let made = made.is_ok_and(|status| status.success());
        made.then_some(Namespace { name })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure to clean up must not hide the test's own.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Why there can be no lab here.
fn missing() -> Option<&'static str> {
    if !fs::exists("/dev/net/tun").unwrap_or(false) {
        return Some("it needs /dev/net/tun");
    }
    let tried = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if tried.is_err() {
        return Some("it needs the command `ip` (iproute2)");
    }
    None
}

/// Runs `body` in a namespace of its own, on a thread that is in it, and so are threads and processes that it
/// starts. Says why where that is not possible.
#[track_caller]
pub fn in_namespace(name: &str, body: fn()) {
    let namespace = match missing() {
        Some(reason) => return println!("{name} is left out: {reason}"),
        None => Namespace::new(),
    };
    let Some(namespace) = namespace else {
        return println!("{name} is left out: it needs root, to make a network namespace");
    };
    let inside = || {
        socket::enter_namespace(&namespace.name);
        socket::raise_file_limit();
        run("ip link set lo up");
        set("net.ipv6.conf.all.disable_ipv6", "1");
        set("net.ipv6.conf.default.disable_ipv6", "1");
        body();
    };
    let ended = thread::scope(|scope| scope.spawn(inside).join());
    drop(namespace);
    if let Err(cause) = ended {
        panic::resume_unwind(cause);
    }
}

/// Runs a command, in this thread's namespace; it must succeed. Returns what it wrote to stdout.
#[track_caller]
pub fn run(words: &str) -> String {
    let output = try_run(words).unwrap_or_else(|| panic!("`{words}` cannot be started"));
    assert!(output.status.success(), "`{words}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command, in this thread's namespace. `None` where there is no such command.
pub fn try_run(words: &str) -> Option<std::process::Output> {
    let mut words = words.split_whitespace();
    Command::new(words.next()?).args(words).stdin(Stdio::null()).output().ok()
}

/// Sets one of the kernel's variables of this thread's namespace.
#[track_caller]
pub fn set(variable: &str, value: &str) {
    let file = format!("/proc/sys/{}", variable.replace('.', "/"));
    fs::write(&file, value).unwrap_or_else(|cause| panic!("{variable}={value}: {cause}"));
}

/// The program, running.
pub struct Program {
    child: Child,
    dir: PathBuf,
}

/// How the program ended.
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Program {
    /// Starts the program with these words; memory is chosen as for all tests.
    pub fn start(eal: &[&str], ours: &[&str]) -> Program {
        let mut words = child::options(eal);
        words.push("--".to_owned());
        words.extend(ours.iter().map(|word| (*word).to_owned()));
        Program::with_words(&words)
    }

    fn with_words(words: &[String]) -> Program {
        let dir = std::env::temp_dir().join(unique("dpdk-tcp-lab-"));
        fs::create_dir(&dir).unwrap();
        let file = |name| fs::File::create(dir.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dpdk-tcp"))
            .args(words)
            .env("RUNTIME_DIRECTORY", &dir)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Program { child, dir }
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join(name)).unwrap()).into_owned()
    }

    /// What it wrote to stdout so far.
    pub fn out(&self) -> String {
        self.text("out")
    }

    /// Waits until it has written a line that begins like this.
    #[track_caller]
    pub fn wait_for_line(&mut self, beginning: &str) {
        let started = Instant::now();
        while !self.out().lines().any(|line| line.starts_with(beginning)) {
            let ended = self.child.try_wait().unwrap();
            let texts = || format!("{}{}", self.out(), self.text("err"));
            assert!(ended.is_none(), "it ended with {ended:?} before `{beginning}`:\n{}", texts());
            assert!(started.elapsed() < PATIENCE, "no `{beginning}` within {PATIENCE:?}:\n{}", texts());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its resident memory in bytes, pages of hugetlb included.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap())
        };
        (kib("VmRSS:") + kib("HugetlbPages:")) << 10
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        socket::signal(self.child.id(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end:\n{}{}", self.out(), self.text("err"));
            thread::sleep(Duration::from_millis(5));
        };
        Ended { status, out: self.out(), err: self.text("err") }
    }

    /// Asks it to end, and checks that it does so in good order.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.signal(libc::SIGTERM);
        let ended = self.end();
        ended.assert_clean();
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, or the test has failed and this is all that is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the program wrote:\n{}{}", self.text("out"), self.text("err"));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Ended {
    /// It ended with status 0, an account, every connection closed and every frame back in the pool.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.status.code(), Some(0), "{}{}", self.out, self.err);
        assert_eq!(self.err, "", "{}", self.out);
        assert!(self.out.contains("account after "), "{}", self.out);
        assert!(self.out.contains("all frames are back"), "{}", self.out);
        assert_eq!(self.count("open"), 0, "{}", self.out);
    }

    /// A number of the account, by its name; 0 where the account does not mention it.
    pub fn count(&self, name: &str) -> u64 {
        let account = self.out.split_once("account after ").map_or("", |(_, account)| account);
        let number = account.lines().find_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("dropped ").unwrap_or(line);
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next()).flatten()
        });
        number.map_or(0, |number| number.replace(',', "").parse().unwrap())
    }
}

/// The program on a tap with its default address, ready, and the kernel's end with 198.18.0.2 to .9.
#[track_caller]
pub fn serve(ours: &[&str]) -> Program {
    let device = format!("net_tap0,iface={TAP}");
    let mut program = Program::start(&["-l", "0", "--vdev", &device], ours);
    program.wait_for_line("ready net_tap0 198.18.0.1");
    for last in 2..10 {
        run(&format!("ip address add 198.18.0.{last}/24 dev {TAP}"));
    }
    run(&format!("ip link set {TAP} up"));
    program
}
