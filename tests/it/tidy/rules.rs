//! The rules. Each says what is wrong with a file, one line a finding.

use super::source::{Source, closing, lines};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

pub fn long_file(source: &Source) -> Vec<String> {
    let count = source.text.lines().count();
    let found = (count > FILE_LINES_MAX).then(|| format!("{}: {count} lines", source.path));
    found.into_iter().collect()
}

/// The word stands in the line for itself.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_part);
        let after = line[at + word.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

/// From the line of `fn` to its last brace.
pub fn long_functions(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut found = Vec::new();
    let mut start = 0;
    for (number, line) in code.split_inclusive('\n').enumerate() {
        let rest = &code[start..];
        start += line.len();
        let Some(at) = line.find("fn ").filter(|_| has_word(line, "fn")) else { continue };
        let body = &rest[at..];
        // Where there is no body before the next semicolon outside of brackets, it is a declaration or a type.
        let Some(brace) = body.find('{') else { continue };
        if has_end(&body[..brace]) {
            continue;
        }
        let end = brace + closing(&body[brace..], '{', '}').unwrap_or(0);
        let count = body[..end].lines().count();
        if count > FUNCTION_LINES_MAX {
            found.push(format!("{}:{}: a function of {count} lines", source.path, number + 1));
        }
    }
    found
}

/// A semicolon outside of brackets ends a declaration.
fn has_end(signature: &str) -> bool {
    let mut depth = 0;
    signature.chars().any(|c| {
        depth += i32::from(matches!(c, '[' | '(')) - i32::from(matches!(c, ']' | ')'));
        c == ';' && depth == 0
    })
}

pub fn missing_header(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    let found = (!says).then(|| format!("{}: the first line does not say what the file is for", source.path));
    found.into_iter().collect()
}

/// Words that no comment may contain either.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Code that no file may contain, and the folders that may.
const OUT_OF_PLACE: &[(&str, &[&str])] = &[
    ("todo!", &[]),
    ("unimplemented!", &[]),
    ("dbg!", &[]),
    ("allow(dead_code)", &[]),
    ("print!", &["src/cli/", "src/main.rs", "dpdk-sys/build.rs"]),
    ("println!", &["src/cli/", "src/main.rs", "dpdk-sys/build.rs"]),
    ("eprint!", &["src/cli/", "src/main.rs", "dpdk-sys/build.rs"]),
    ("eprintln!", &["src/cli/", "src/main.rs", "dpdk-sys/build.rs"]),
    ("Instant::now", &["src/cli/", "src/dpdk/"]),
    ("SystemTime", &["src/cli/", "src/dpdk/"]),
    ("thread::sleep", &["src/cli/"]),
];

pub fn banned_words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in lines(&source.text) {
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            found.push(format!("{}:{number}: {word}", source.path));
        }
    }
    for (number, line) in lines(&source.product()) {
        for (word, places) in OUT_OF_PLACE {
            let in_place = places.iter().any(|place| source.path.starts_with(place));
            if !in_place && line.match_indices(word).any(|(at, _)| starts_word(line, at)) {
                found.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    found
}

fn starts_word(line: &str, at: usize) -> bool {
    !line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// What follows is an assignment, not a comparison.
fn assigns(rest: &str) -> bool {
    let rest = rest.trim_start();
    let compound = ["+=", "-=", "|=", "&="].iter().any(|sign| rest.starts_with(sign));
    compound || (rest.starts_with('=') && !rest.starts_with("==") && !rest.starts_with("=>"))
}

/// Law 1: the state is private and written in `enter` alone; the sequence variables are written by `tcp` alone.
pub fn state_writes(source: &Source) -> Vec<String> {
    let product = source.product();
    let in_tcp = source.path.starts_with("src/tcp/");
    let mut found = Vec::new();
    let mut entered = false;
    for (number, line) in lines(&product) {
        let writes =
            |field: &str| line.match_indices(field).any(|(at, _)| assigns(&line[at + field.len()..]));
        let mut wrong = |what: &str| found.push(format!("{}:{number}: {what}", source.path));
        if ["src/tcp/tcb.rs", "src/tcp/tcb/brief.rs"].contains(&source.path.as_str()) {
            entered |= has_word(line, "fn") && line.contains("fn enter(");
            if line.trim_start().starts_with("pub") && line.contains(" state: State") {
                wrong("the state is not private");
            }
        }
        if in_tcp && writes(".state") && !std::mem::take(&mut entered) {
            wrong("the state is written outside of enter");
        }
        let variables = [".snd.", ".rcv."].iter().flat_map(|space| line.match_indices(space));
        let variable = |(at, space): (usize, &str)| {
            let name = &line[at + space.len()..];
            assigns(name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
        };
        if !in_tcp && variables.into_iter().any(variable) {
            wrong("a sequence variable is written outside of tcp");
        }
    }
    found
}

/// Where unsafe code may stand: the device layer, the leaves of `base` that need it, a bench's
/// peer in C, and an allocator that counts.
const UNSAFE_PLACES: &[&str] = &[
    "src/dpdk/",
    "src/base/aes.rs",
    "src/base/pages.rs",
    "src/base/prefetch.rs",
    "src/base/simd.rs",
    "benches/rte_hash.rs",
    "tests/dpdk/",
    "tests/cli/",
    "tests/it/no_alloc.rs",
];

pub fn unsafe_code(source: &Source) -> Vec<String> {
    if UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let code = source.code();
    let found = lines(&code).filter(|(_, line)| has_word(line, "unsafe"));
    found.map(|(number, _)| format!("{}:{number}: unsafe code", source.path)).collect()
}

/// Files that no chain of `mod` leads to.
pub fn missing_modules(sources: &[Source], roots: &[&str]) -> Vec<String> {
    let mut reached: Vec<String> = Vec::new();
    let mut next: Vec<String> = roots.iter().map(|&root| root.to_owned()).collect();
    while let Some(path) = next.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
        let code = source.code();
        let folder = folder_of(&path);
        for (_, line) in lines(&code) {
            let Some(name) = line.split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';')) else {
                continue;
            };
            next.push(format!("{folder}{name}.rs"));
            next.push(format!("{folder}{name}/mod.rs"));
        }
        reached.push(path);
    }
    let missing = sources.iter().filter(|source| !reached.contains(&source.path));
    missing.map(|source| source.path.clone()).collect()
}

/// Where the modules of a file are.
fn folder_of(path: &str) -> String {
    let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| path.ends_with(&format!("/{name}")));
    let end = if is_root { path.rfind('/').map_or(0, |at| at) } else { path.len() - ".rs".len() };
    format!("{}/", &path[..end])
}

/// Names that no code but tests contains.
pub fn unused(sources: &[Source], names: &[String]) -> Vec<String> {
    let products: Vec<_> = sources.iter().map(Source::product).collect();
    let is_used = |name: &String| products.iter().any(|code| has_word(code, name));
    names.iter().filter(|name| !is_used(name)).cloned().collect()
}
