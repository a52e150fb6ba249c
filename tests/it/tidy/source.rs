//! Source files as text: with and without comments and literals, with and without tests.

use std::path::{Path, PathBuf};

/// A file of the project.
pub struct Source {
    /// Its path from the project's root, with slashes.
    pub path: String,
    pub text: String,
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The code: comments and what stands in literals are blanks, lines stay lines.
    pub fn code(&self) -> String {
        blank(&self.text)
    }

    /// The code that is not only compiled for tests.
    pub fn product(&self) -> String {
        if self.is_test() { String::new() } else { without_tests(&self.code()) }
    }

    /// The whole file is only compiled for tests.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs")
    }

    /// The module's path, from the crate's root on.
    pub fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<_> = inner.split('/').collect();
        if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
            parts.pop();
        }
        parts
    }
}

/// All Rust files below some folders of the project.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    texts(folders, "rs")
}

/// All files below some folders of the project whose names end in `.ending`.
pub fn texts(folders: &[&str], ending: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), ending, &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty(), "there are files in {folders:?}");
    let read = |path: &PathBuf| {
        let inner = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        Source::new(&inner, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn collect(folder: &Path, ending: &str, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, ending, paths);
        } else if path.extension().is_some_and(|found| found == ending) {
            paths.push(path);
        }
    }
}

/// What stands at the beginning of `rest`, in octets, if it is a comment or literal.
fn opaque(rest: &str) -> Option<usize> {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at);
    if rest.starts_with("//") {
        return Some(until("\n", 0));
    }
    if rest.starts_with("/*") {
        return Some((until("*/", 2) + 2).min(rest.len()));
    }
    let raw = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(hashes) = raw.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len()) {
        let start = rest.len() - raw.len() + 1 + hashes;
        if rest[start..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return Some((until(&end, start + 1) + end.len()).min(rest.len()));
        }
    }
    if let Some(inside) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(rest.len(), |at| at + 2));
    }
    // A character, not a lifetime.
    let mut chars = rest.char_indices().skip(1);
    match (rest.starts_with('\''), chars.next(), chars.next()) {
        (true, Some((_, '\\')), _) => Some(until("'", 3) + 1),
        (true, Some((_, _)), Some((at, '\''))) => Some(at + 1),
        _ => None,
    }
}

/// Replaces comments and literals by blanks.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let len = opaque(rest).filter(|_| !in_word || first == '"' || first == '\'' || first == '/');
        if let Some(len) = len {
            out.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[len..];
            in_word = false;
        } else {
            in_word = first.is_alphanumeric() || first == '_';
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The position after the bracket that closes the first one in `code`.
pub fn closing(code: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        depth += i32::from(c == open);
        if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Takes items marked with `cfg(test)` out, and leaves their lines empty.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let brace = item.find('{');
        let end = match (item.find(';'), brace) {
            (Some(semicolon), brace) if brace.is_none_or(|brace| semicolon < brace) => semicolon + 1,
            (_, Some(brace)) => brace + closing(&item[brace..], '{', '}').unwrap_or(item.len() - brace),
            _ => item.len(),
        };
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out + rest
}

/// Words of code with their line, counted from 1: identifiers and single signs.
pub fn lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().map(|(number, line)| (number + 1, line))
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "let a = \"//x\"; // unsafe\nlet b = 'x'; fn f<'a>() {} /* unsafe\n */ r#\"un\"safe\"#; '\\''; b\"u\"";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(!code.contains("unsafe") && !code.contains("un\"") && !code.contains('x'), "{code}");
    assert!(code.contains("fn f<'a>() {}"), "{code}");
}

#[test]
fn tests_are_taken_out() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
    let product = Source::new("src/x.rs", text).product();
    assert_eq!(product.lines().count(), text.lines().count());
    assert!(product.contains("fn a") && product.contains("fn c") && product.contains("fn d"));
    assert!(!product.contains("fn b") && !product.contains("more"));
    assert_eq!(Source::new("src/x/tests.rs", text).product(), "");
}
