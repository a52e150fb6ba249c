//! Style as a test. Every rule is also tried on a text that breaks it.

mod rules;
pub mod source;

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;

use rules::{
    banned_words, long_file, long_functions, missing_header, missing_modules, state_writes, unsafe_code,
    unused,
};
use source::{Source, root, sources};

const EVERYWHERE: &[&str] = &["src", "tests", "benches", "fuzz/src", "dpdk-sys"];
const PRODUCT: &[&str] = &["src", "dpdk-sys"];

/// Layers in which unsafe code is forbidden, not only denied.
const FORBIDDING: &[&str] = &["wire", "tcp", "flow", "inet", "engine", "app", "load", "measure", "kernel"];

/// Applies a rule to every file.
#[track_caller]
fn holds(folders: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let broken: Vec<_> = sources(folders).iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The rule finds exactly the texts that break it.
#[track_caller]
fn finds(rule: impl Fn(&Source) -> Vec<String>, path: &str, wrong: &[&str], right: &[&str]) {
    for text in wrong {
        assert!(!rule(&Source::new(path, text)).is_empty(), "this should be found: {text}");
    }
    for text in right {
        assert_eq!(rule(&Source::new(path, text)), [""; 0], "this should not be found: {text}");
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    holds(EVERYWHERE, long_file);
    finds(long_file, "src/x.rs", &[&"\n".repeat(601)], &[&"\n".repeat(600)]);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    holds(EVERYWHERE, long_functions);
    let function = |lines: usize| {
        format!("impl A {{\n    fn f(x: [u8; 3])\n    -> u8 {{\n{}    }}\n}}", "//\n".repeat(lines - 3))
    };
    finds(long_functions, "src/x.rs", &[&function(71)], &[&function(70), &"fn f();\n".repeat(90)]);
}

#[test]
fn every_file_says_what_it_is_for() {
    holds(EVERYWHERE, missing_header);
    finds(missing_header, "src/x.rs", &["use a;", "// x", "", "//! \n"], &["//! What it is for.\nuse a;"]);
}

#[test]
fn nothing_unfinished_or_out_of_place_is_said() {
    holds(PRODUCT, banned_words);
    let later = concat!("// TO", "DO: later");
    let wrong = [
        later,
        "dbg!(1)",
        "todo!()",
        "println!()",
        "eprint!()",
        "std::thread::sleep(d)",
        "#[allow(dead_code)]",
    ];
    finds(banned_words, "src/tcp/x.rs", &wrong, &["// println!", "let s = \"dbg!(1)\";"]);
    finds(
        banned_words,
        "src/engine/x.rs",
        &["std::time::Instant::now()", "SystemTime::now()"],
        &["self.now"],
    );
    finds(
        banned_words,
        "src/cli/x.rs",
        &["unimplemented!()"],
        &["println!()", "Instant::now()", "thread::sleep(d)"],
    );
}

#[test]
fn only_enter_writes_a_state_and_only_tcp_its_variables() {
    holds(&["src"], state_writes);
    let enter = "impl Tcb { fn enter(&mut self, next: State) { self.state = next; } }";
    finds(state_writes, "src/tcp/tcb.rs", &["fn f() { tcb.state = x; }", "pub state: State,"], &[enter]);
    finds(state_writes, "src/tcp/output.rs", &[enter], &["if self.state == x {}", "match self.state {}"]);
    let writes = ["tcb.snd.una = x;", "slot.tcb.rcv.nxt += 1;"];
    finds(
        state_writes,
        "src/engine/x.rs",
        &writes,
        &["let a = tcb.snd.una;", "tcb.snd.una == x", "entry.state = x;"],
    );
}

#[test]
fn unsafe_code_stays_at_the_border() {
    holds(&["src", "tests", "benches", "fuzz/src"], unsafe_code);
    finds(unsafe_code, "src/base/x.rs", &["unsafe { x }"], &["#[allow(unsafe_code)]", "// unsafe"]);
    finds(unsafe_code, "src/dpdk/x.rs", &[], &["unsafe { x }"]);
    for layer in FORBIDDING {
        let text = std::fs::read_to_string(root().join(format!("src/{layer}/mod.rs"))).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{layer} forbids unsafe code");
    }
}

#[test]
fn every_file_is_part_of_the_crate() {
    let missing = missing_modules(&sources(&["src"]), &["src/lib.rs", "src/main.rs"]);
    assert!(missing.is_empty(), "{missing:#?}");
    let made_up = [
        Source::new("src/lib.rs", "pub mod a;\nmod b { }"),
        Source::new("src/a/mod.rs", "pub(super) mod c;"),
        Source::new("src/a/c.rs", "mod d;"),
        Source::new("src/a/c/d.rs", ""),
        Source::new("src/a/e.rs", ""),
    ];
    assert_eq!(missing_modules(&made_up, &["src/lib.rs"]), ["src/a/e.rs"]);
}

#[test]
fn every_drop_reason_and_counter_is_used() {
    let all = sources(&["src"]);
    let reasons = DropReason::ALL.iter().map(|reason| format!("DropReason::{reason:?}"));
    let counters = Counter::ALL.iter().map(|counter| format!("Counter::{counter:?}"));
    let names: Vec<_> = reasons.chain(counters).collect();
    assert_eq!(unused(&all, &names), [""; 0]);
    let made_up =
        [Source::new("src/x.rs", "f(DropReason::Used);\n#[cfg(test)]\nmod tests { DropReason::InTest; }")];
    let names = ["DropReason::Used", "DropReason::Us", "DropReason::InTest"].map(str::to_owned);
    assert_eq!(unused(&made_up, &names), ["DropReason::Us", "DropReason::InTest"]);
}
