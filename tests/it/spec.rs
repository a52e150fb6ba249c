//! The table of requirements in `docs/spec` is true: what it says is coded or tested is cited there, by a line
//! `//= ID` in the code it is about (`# = ID` in a packet script), and nothing is cited that it does not know.
//!
//! A row is `ID = { level = "M", status = "code" }`. Levels: M and MN for must and must not, S and SN for should,
//! R recommended, O optional, F a fact, P a choice of this project. Instead of a status `code` or `test` stands
//! `later` with the part that will bring it, `deviation`, `declined` (options) or `fact`, with a reason each, or
//! the status `open`: vectors and attacks that may be cited or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::script::scripts;
use crate::tidy::source::{Source, root, sources};

const FILES: [&str; 3] = ["rfc9293.toml", "extensions.toml", "vectors.toml"];

#[derive(Clone, PartialEq, Eq, Debug)]
enum Status {
    Code,
    Test,
    Open,
    Later,
    Excused,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    level: String,
    status: Status,
}

/// Where requirements are cited.
#[derive(Default)]
struct Citations {
    code: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn row(line: &str) -> Option<(String, Row)> {
    let (id, rest) = line.split_once(" = { level = \"")?;
    let (level, rest) = rest.split_once("\", ")?;
    let (kind, reason) = rest.strip_suffix("\" }")?.split_once(" = \"")?;
    let status = match (kind, reason) {
        ("status", "code") => Status::Code,
        ("status", "test") => Status::Test,
        ("status", "open") => Status::Open,
        ("later", _) if !reason.is_empty() => Status::Later,
        ("deviation" | "declined" | "fact", _) if !reason.is_empty() => Status::Excused,
        _ => return None,
    };
    let known = ["M", "MN", "S", "SN", "R", "O", "F", "P"].contains(&level);
    known.then(|| (id.to_owned(), Row { level: level.to_owned(), status }))
}

fn read(text: &str) -> BTreeMap<String, Row> {
    let mut table = BTreeMap::new();
    let is_row = |line: &&str| !(line.is_empty() || line.starts_with('#') || line.starts_with('['));
    for line in text.lines().filter(is_row) {
        let (id, row) = row(line).unwrap_or_else(|| panic!("not a row: {line}"));
        assert!(table.insert(id, row).is_none(), "twice: {line}");
    }
    table
}

/// The requirements that a citation names: `VEC-RTO-1..6` are six.
fn each(cited: &str) -> Vec<String> {
    let span = cited.split_once("..").and_then(|(first, to)| {
        let (name, from) = first.rsplit_once('-')?;
        Some((name, from.parse::<u32>().ok()?..=to.parse().ok()?))
    });
    match span {
        Some((name, numbers)) => numbers.map(|number| format!("{name}-{number}")).collect(),
        None => vec![cited.to_owned()],
    }
}

fn cite(source: &Source, citations: &mut Citations) {
    // Unit tests stand at the end of a file.
    let tests_from = source.text.find("#[cfg(test)]\nmod tests {").unwrap_or(source.text.len());
    let mut at = 0;
    for line in source.text.split_inclusive('\n') {
        let in_tests = source.is_test() || at > tests_from;
        at += line.len();
        // Sections of other standards are cited in full and are not in the table.
        let mark = if source.path.ends_with(".pkt") { "# = " } else { "//= " };
        let cited = line.trim().strip_prefix(mark).filter(|id| !id.starts_with("RFC"));
        if let Some(id) = cited {
            let ids = if in_tests { &mut citations.tests } else { &mut citations.code };
            ids.extend(each(id.trim()));
        }
    }
}

/// What is wrong with a table.
fn untrue(table: &BTreeMap<String, Row>, citations: &Citations) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in citations.code.union(&citations.tests) {
        if !table.contains_key(id) {
            wrong.push(format!("{id} is cited and not in docs/spec"));
        }
    }
    for (id, Row { level, status }) in table {
        let (code, test) = (citations.code.contains(id), citations.tests.contains(id));
        match status {
            Status::Code if !code => wrong.push(format!("{id} ({level}) is cited nowhere in the code")),
            Status::Test if !test => wrong.push(format!("{id} ({level}) is cited in no test")),
            Status::Later if code || test => {
                wrong.push(format!("{id} ({level}) is cited; the table says later"))
            }
            Status::Open if level.starts_with('M') => {
                wrong.push(format!("{id} is a must and cannot be open"))
            }
            _ => {}
        }
    }
    wrong
}

#[test]
fn the_table_of_requirements_is_true() {
    let texts = FILES.map(|file| std::fs::read_to_string(root().join("docs/spec").join(file)).unwrap());
    let table = read(&texts.concat());
    assert!(table.len() > 800, "{} rows", table.len());
    let mut citations = Citations::default();
    // The citations of this file are examples.
    let all = sources(&["src", "tests", "benches", "fuzz/src"]);
    all.iter().filter(|s| s.path != "tests/it/spec.rs").for_each(|s| cite(s, &mut citations));
    scripts().iter().for_each(|s| cite(s, &mut citations));
    assert_eq!(untrue(&table, &citations), [""; 0]);
}

#[test]
fn a_citation_may_name_a_range() {
    assert_eq!(each("MUST-7"), ["MUST-7"]);
    assert_eq!(each("VEC-CK-9..11"), ["VEC-CK-9", "VEC-CK-10", "VEC-CK-11"]);
}

#[test]
fn an_untrue_table_is_found() {
    let row = |id: &str, rest: &str| format!("{id} = {{ level = \"M\", {rest} }}\n");
    let table = |rest: &str| read(&row("MUST-1", rest));
    let mut citations = Citations::default();
    let text = "fn f() {\n    //= MUST-1\n}\n#[cfg(test)]\nmod tests {\n    //= MUST-2\n}\n";
    cite(&Source::new("src/x.rs", text), &mut citations);
    assert_eq!((citations.code.len(), citations.tests.len()), (1, 1));
    cite(&Source::new("tests/it/scripts/x.pkt", "# = MUST-2\n//= MUST-3\n# MUST-4\n"), &mut citations);
    assert_eq!((citations.code.len(), citations.tests.len()), (1, 1), "a script cites in its own way");
    let both = row("MUST-1", "status = \"code\"") + &row("MUST-2", "status = \"test\"");
    assert_eq!(untrue(&read(&both), &citations), [""; 0]);
    let swapped = row("MUST-1", "status = \"test\"") + &row("MUST-2", "status = \"code\"");
    assert_eq!(untrue(&read(&swapped), &citations).len(), 2);
    assert_eq!(untrue(&table("status = \"code\""), &citations).len(), 1, "MUST-2 is unknown");
    let nothing = Citations::default();
    for (rest, findings) in [
        ("status = \"code\"", 1),
        ("status = \"test\"", 1),
        ("status = \"open\"", 1),
        ("later = \"x\"", 0),
        ("deviation = \"x\"", 0),
    ] {
        assert_eq!(untrue(&table(rest), &nothing).len(), findings, "{rest}");
    }
    citations.tests.clear();
    assert_eq!(untrue(&table("later = \"x\""), &citations).len(), 1);
    for wrong in [
        "MUST-1 = \"M\"",
        "A-1 = { level = \"Q\", status = \"code\" }",
        "A-1 = { level = \"M\", later = \"\" }",
    ] {
        assert!(super::spec::row(wrong).is_none(), "{wrong}");
    }
}
