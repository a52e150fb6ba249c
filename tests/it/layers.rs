//! Which layer may import which (docs/ARCHITECTURE.md). Whoever adds a layer adds a row.

use crate::tidy::source::{Source, closing, lines, sources};

/// A layer, and what it may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &["base"]),
    ("stats", &["base"]),
    ("link", &["base"]),
    ("tcp", &["base", "wire"]),
    ("flow", &["base", "wire"]),
    ("inet", &["base", "wire"]),
    ("dpdk", &["base", "link", "stats", "dpdk_sys"]),
    ("sim", &["base", "link", "wire"]),
    ("engine", &["base", "wire", "stats", "link", "tcp", "flow", "inet"]),
    ("load", &["base", "wire", "stats", "link"]),
    ("app", &["base", "stats", "load", "engine::api", "engine::timers"]),
    (
        "kernel",
        // Of the services only what knows no engine.
        &["base", "stats", "load", "app::Service", "app::chargen", "app::http"],
    ),
    ("measure", &["base", "wire", "stats", "link", "load", "tcp", "inet", "engine", "app", "kernel"]),
    ("telemetry", &["base", "stats", "load"]),
    ("config", &["base", "stats", "load"]),
    (
        "cli",
        &[
            "base",
            "wire",
            "stats",
            "link",
            "tcp",
            "flow",
            "inet",
            "dpdk",
            "engine",
            "load",
            "measure",
            "app",
            "kernel",
            "telemetry",
            "config",
        ],
    ),
];

/// Paths from the crate's root that code names, with their lines: `tcp::state`, `dpdk_sys`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in lines(code) {
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at + "crate::".len()..];
            // One brace level, on one line or not: `use crate::{a, b}` names each.
            if path.starts_with('{') {
                let from = line_start(code, number) + at + "crate::".len();
                let list = &code[from..from + closing(&code[from..], '{', '}').unwrap_or(1)];
                found.extend(list[1..].split(',').map(|name| (number, first_two(name.trim()))));
            } else {
                found.push((number, first_two(path)));
            }
        }
        if line.contains("dpdk_sys::") {
            found.push((number, "dpdk_sys".to_owned()));
        }
    }
    found.retain(|(_, path)| !path.is_empty());
    found
}

fn line_start(code: &str, number: usize) -> usize {
    code.split_inclusive('\n').take(number - 1).map(str::len).sum()
}

/// `a::b` of a longer path.
fn first_two(path: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = &path[..path.find(|c| !is_part(c)).unwrap_or(path.len())];
    path.split("::").take(2).collect::<Vec<_>>().join("::")
}

fn allowed(layer: &str, path: &str) -> bool {
    let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == layer) else { return false };
    let top = path.split("::").next().unwrap_or(path);
    top == layer || may.contains(&top) || may.contains(&path)
}

/// Imports that a file may not have.
fn wrong_imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(layer) = module.first() else { return Vec::new() };
    let code = source.code();
    let mut wrong: Vec<_> = imports(&code)
        .into_iter()
        .filter(|(_, path)| !allowed(layer, path))
        .map(|(line, path)| format!("{}:{line}: {layer} may not import {path}", source.path))
        .collect();
    // As many steps up as the module is deep lead to the crate's root, past the layer.
    let out = "super::".repeat(module.len());
    for (line, text) in lines(&source.product()) {
        if text.contains(&out) {
            wrong.push(format!("{}:{line}: a path leads out of {layer}", source.path));
        }
    }
    wrong
}

#[test]
fn every_layer_imports_only_what_it_may() {
    let wrong: Vec<_> = sources(&["src"]).iter().flat_map(wrong_imports).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_layer_of_the_table_exists_and_none_is_missing() {
    let all = sources(&["src"]);
    let mut layers: Vec<_> = all.iter().filter_map(|source| source.module().first().copied()).collect();
    layers.sort_unstable();
    layers.dedup();
    let mut table: Vec<_> = LAYERS.iter().map(|(name, _)| *name).collect();
    table.sort_unstable();
    assert_eq!(layers, table);
}

#[test]
fn a_wrong_import_is_found() {
    let wrong = |path: &str, text: &str| !wrong_imports(&Source::new(path, text)).is_empty();
    assert!(wrong("src/tcp/mod.rs", "use crate::engine::shard::Shard;"));
    assert!(wrong("src/tcp/tcb.rs", "fn f() { crate::link::x() }"));
    assert!(wrong("src/tcp/tcb.rs", "use crate::{base::time, flow};"));
    assert!(wrong("src/tcp/tcb.rs", "use crate::{\n    base::time,\n    flow,\n};"));
    assert!(wrong("src/engine/worker.rs", "use dpdk_sys::rte_mbuf;"));
    assert!(wrong("src/app/echo.rs", "use crate::engine::shard::Shard;"));
    assert!(wrong("src/base/time.rs", "use crate::wire::seq::Seq;"));
    assert!(wrong("src/tcp/tcb.rs", "use super::super::flow::key;"));
    assert!(wrong("src/new/mod.rs", "use crate::base::time;"));
    assert!(!wrong("src/app/echo.rs", "use crate::engine::api::Conn;"));
    assert!(!wrong("src/tcp/arrives/steps.rs", "use super::super::tcb::Tcb; use crate::base::time;"));
    assert!(!wrong("src/tcp/tcb.rs", "// use crate::engine::shard;"));
    assert!(!wrong("src/dpdk/queue.rs", "use dpdk_sys::rte_mbuf;"));
}
