//! Numbers as people read them.

use super::text::thousands;

/// Columns that a report may have.
pub const COLUMNS: usize = 100;

/// A latency with a unit, to four digits: `999 ns`, `12.35 µs`, `1.500 s`.
pub fn nanos(ns: u64) -> String {
    let scaled = |unit: f64, name: &str| {
        let value = ns as f64 / unit;
        let digits = if value < 9.9995 {
            3
        } else if value < 99.995 {
            2
        } else {
            1
        };
        format!("{value:.digits$} {name}")
    };
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_950 => scaled(1e3, "µs"),
        999_950..999_950_000 => scaled(1e6, "ms"),
        _ => scaled(1e9, "s"),
    }
}

/// A number to the nearest whole one.
pub fn whole(value: f64) -> String {
    // Negative values and what is no number become 0.
    thousands(value.round() as u64)
}

/// A share of 1 in per cent.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number of seconds: whole ones as such, others to a tenth.
pub fn seconds(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0} s") } else { format!("{value:.1} s") }
}

/// Cuts a text behind so many characters.
pub fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns).collect()
}

/// Breaks a text into lines of at most so many characters, between words where that is possible.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let len = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + len <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_four_digits_and_a_unit() {
        let shown =
            [0, 999, 1_000, 12_345, 999_949, 999_950, 123_456_789, 999_950_000, 61_500_000_000].map(nanos);
        assert_eq!(
            shown,
            [
                "0 ns",
                "999 ns",
                "1.000 µs",
                "12.35 µs",
                "999.9 µs",
                "1.000 ms",
                "123.5 ms",
                "1.000 s",
                "61.50 s"
            ]
        );
    }

    #[test]
    fn numbers_keep_to_what_matters() {
        assert_eq!((whole(1_234.5), whole(-1.0), whole(f64::NAN)), ("1,235".into(), "0".into(), "0".into()));
        assert_eq!(
            (percent(0.123_4), seconds(2.0), seconds(2.25)),
            ("12.3 %".into(), "2 s".into(), "2.2 s".into())
        );
        assert_eq!(cut("µs and more", 2), "µs");
    }

    #[test]
    fn long_texts_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("incomprehensible it is", 5), ["incomprehensible", "it is"]);
    }
}
