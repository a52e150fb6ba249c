//! Numbers as people write them: durations (`60s`), counts (`1M`), sizes in bytes (`64k`), rates (`0.5`) and
//! percentages (`99.9%`). Pure: text in,
//! numbers out. What range a number may have is said where the option is (`config::serve`).
//!
//! Counts are decimal (`64k` is 64,000 connections), sizes are binary (`64k` is 65,536 bytes), as in the
//! tools that people come from: rates and numbers of things by thousands, memory by 1024. `kB` and `MB` mean
//! either, depending on whom one asks, and are refused.

use std::time::Duration;

use thiserror::Error;

/// Why a number could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum UnitError {
    /// It does not begin with digits.
    #[error("this is not a {what}; write {example}")]
    NotANumber {
        /// What was expected.
        what: &'static str,
        /// How to write it.
        example: &'static str,
    },
    /// What follows the digits is not a unit.
    #[error("'{unit}' is not a unit of a {what}; write {example}")]
    Unit {
        /// What was expected.
        what: &'static str,
        /// What stands after the digits.
        unit: String,
        /// How to write it.
        example: &'static str,
    },
    /// It does not fit into 64 bits.
    #[error("this {what} is too large to count with; write {example}")]
    TooLarge {
        /// What was expected.
        what: &'static str,
        /// How to write it.
        example: &'static str,
    },
    /// A fraction that leaves a part of the smallest unit.
    #[error("this {what} is not a whole number of {smallest}; write {example}")]
    TooFine {
        /// What was expected.
        what: &'static str,
        /// The unit that cannot be divided.
        smallest: &'static str,
        /// How to write it.
        example: &'static str,
    },
}

/// One way to write numbers.
struct Notation {
    what: &'static str,
    smallest: &'static str,
    example: &'static str,
    /// Suffixes in lower case and what they multiply by; the empty one is what a bare number means.
    units: &'static [(&'static str, u64)],
    ignore_case: bool,
}

const DURATION: Notation = Notation {
    what: "duration",
    smallest: "microseconds",
    example: "a number with us, ms, s, m, h or d, such as 60s, 250ms or 2m (a bare number is seconds)",
    units: &[
        ("", 1_000_000),
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("m", 60_000_000),
        ("h", 3_600_000_000),
        ("d", 86_400_000_000),
    ],
    ignore_case: false,
};

const COUNT: Notation = Notation {
    what: "count",
    smallest: "things",
    example: "a number, if need be with k (1,000), M (1,000,000) or G, such as 262144, 64k or 1M",
    units: &[("", 1), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)],
    ignore_case: true,
};

const SIZE: Notation = Notation {
    what: "size",
    smallest: "bytes",
    example: "bytes, if need be with k or KiB (1,024), M or MiB, G or GiB, such as 1500, 64k or 2M",
    units: &[
        ("", 1),
        ("b", 1),
        ("k", 1 << 10),
        ("kib", 1 << 10),
        ("m", 1 << 20),
        ("mib", 1 << 20),
        ("g", 1 << 30),
        ("gib", 1 << 30),
        ("t", 1 << 40),
        ("tib", 1 << 40),
    ],
    ignore_case: true,
};

const RATE: Notation = Notation {
    what: "rate",
    smallest: "thousandths",
    example: "events a second, if need be with k (1,000) or M (1,000,000), such as 0.5, 10k or 1.5M",
    units: &[("", 1_000), ("k", 1_000_000), ("m", 1_000_000_000), ("g", 1_000_000_000_000)],
    ignore_case: true,
};

const PERCENT: Notation = Notation {
    what: "percentage",
    smallest: "millionths",
    example: "a number of percent, such as 99.99% or 5",
    units: &[("", 10_000), ("%", 10_000)],
    ignore_case: false,
};

impl Notation {
    /// Reads `digits[.digits][unit]` as a number of the smallest unit.
    fn read(&self, text: &str) -> Result<u64, UnitError> {
        let Notation { what, smallest, example, units, ignore_case } = *self;
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let dangling = number.ends_with('.');
        if whole.is_empty() || dangling || !digits_only(whole) || !digits_only(fraction) {
            return Err(UnitError::NotANumber { what, example });
        }
        let unit = unit.trim_start();
        let matches = |name: &str| if ignore_case { unit.eq_ignore_ascii_case(name) } else { unit == name };
        let Some(&(_, factor)) = units.iter().find(|(name, _)| matches(name)) else {
            return Err(UnitError::Unit { what, unit: unit.to_owned(), example });
        };
        // A fraction of more than 18 digits cannot be whole in any unit above, unless it ends in zeros.
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 18 {
            return Err(UnitError::TooFine { what, smallest, example });
        }
        let too_large = UnitError::TooLarge { what, example };
        let whole: u128 = whole.parse().map_err(|_| too_large.clone())?;
        let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
        let tens = (0..fraction.len()).fold(1u128, |tens, _| tens * 10);
        let part = part * u128::from(factor);
        if !part.is_multiple_of(tens) {
            return Err(UnitError::TooFine { what, smallest, example });
        }
        whole
            .checked_mul(u128::from(factor))
            .and_then(|whole| whole.checked_add(part / tens))
            .and_then(|total| u64::try_from(total).ok())
            .ok_or(too_large)
    }
}

/// Reads a duration with microsecond resolution: `10us`, `250ms`, `1.5s`, `60` (seconds), `2m`, `1h`, `7d`.
///
/// # Errors
/// [`UnitError`] says what was wrong and gives examples.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    DURATION.read(text).map(Duration::from_micros)
}

/// Reads a number of things; suffixes are decimal: `4096`, `64k` (64,000), `1.5M`.
///
/// # Errors
/// [`UnitError`] says what was wrong and gives examples.
pub fn count(text: &str) -> Result<u64, UnitError> {
    COUNT.read(text)
}

/// Reads a size in bytes; suffixes are binary: `1500`, `64k` or `64KiB` (65,536), `2M`, `1G`.
///
/// # Errors
/// [`UnitError`] says what was wrong and gives examples.
pub fn size(text: &str) -> Result<u64, UnitError> {
    SIZE.read(text)
}

/// Reads a rate in thousandths of an event a second; suffixes are decimal: `0.5` (500), `10k`, `1.5M`.
///
/// # Errors
/// [`UnitError`] says what was wrong and gives examples.
pub fn rate(text: &str) -> Result<u64, UnitError> {
    RATE.read(text)
}

/// Reads a percentage in millionths of the whole: `99.99%` or `99.99` (999,900).
///
/// # Errors
/// [`UnitError`] says what was wrong and gives examples.
pub fn percent(text: &str) -> Result<u64, UnitError> {
    PERCENT.read(text)
}

/// Writes a rate in thousandths so that [`rate`] reads it back: `0.5`, `100M`.
pub fn rate_text(thousandths: u64) -> String {
    let units = [("M", 1_000_000_000), ("k", 1_000_000)];
    match units.iter().find(|(_, factor)| thousandths != 0 && thousandths.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", thousandths / factor),
        None => decimals(thousandths, 3),
    }
}

/// Writes a percentage in millionths so that [`percent`] reads it back: `99.99%`.
pub fn percent_text(millionths: u64) -> String {
    format!("{}%", decimals(millionths, 4))
}

/// A number of `10^-places`, without zeros at its end.
fn decimals(n: u64, places: u32) -> String {
    let tens = 10u64.pow(places);
    let text = format!("{}.{:0width$}", n / tens, n % tens, width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes a duration so that [`duration`] reads it back, in the largest unit that divides it: `2m`, `250ms`.
/// One minute is `60s`, as people write it. What is below a microsecond is left out.
pub fn duration_text(duration: Duration) -> String {
    let us = duration.as_micros();
    let units =
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    match units
        .iter()
        .find(|(name, factor)| us != 0 && us.is_multiple_of(*factor) && (*name != "m" || us > 60_000_000))
    {
        Some((name, factor)) => format!("{}{name}", us / factor),
        None if us == 0 => "0s".to_owned(),
        None => format!("{us}us"),
    }
}

/// Writes a size so that [`size`] reads it back, with the largest unit that divides it: `64k`, `1500`.
pub fn size_text(bytes: u64) -> String {
    let units = [("T", 1u64 << 40), ("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)];
    match units.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, us) in [
            ("10us", 10),
            ("250ms", 250_000),
            ("60s", 60_000_000),
            ("60", 60_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("1d", 86_400_000_000),
            ("0", 0),
            ("0ms", 0),
            ("0.5s", 500_000),
            ("1.50 s", 1_500_000),
            ("0.001ms", 1),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(us)), "{text}");
        }
    }

    #[test]
    fn counts_are_decimal_and_sizes_binary() {
        assert_eq!(count("64k"), Ok(64_000));
        assert_eq!(count("1M"), Ok(1_000_000));
        assert_eq!(count("1.5m"), Ok(1_500_000));
        assert_eq!(count("262144"), Ok(262_144));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("1500b"), Ok(1_500));
        assert_eq!(size("2M"), Ok(2 << 20));
        assert_eq!(size("1.5G"), Ok(3 << 29));
    }

    #[test]
    fn a_wrong_number_says_what_is_wrong_and_how_to_write_it() {
        for (error, part) in [
            (duration("").unwrap_err(), "not a duration"),
            (duration("fast").unwrap_err(), "such as 60s"),
            (duration("-1s").unwrap_err(), "not a duration"),
            (duration("1.s").unwrap_err(), "not a duration"),
            (duration("1.2.3s").unwrap_err(), "not a duration"),
            (duration("5 weeks").unwrap_err(), "'weeks' is not a unit of a duration"),
            (duration("5M").unwrap_err(), "'M' is not a unit"),
            (duration("0.1us").unwrap_err(), "whole number of microseconds"),
            (duration("0.0000000000000000001h").unwrap_err(), "whole number of microseconds"),
            (duration("99999999999999999999999d").unwrap_err(), "too large"),
            (count("0.5").unwrap_err(), "whole number of things"),
            (count("1x").unwrap_err(), "such as 262144"),
            (count("20000000000G").unwrap_err(), "too large"),
            (count("9999999999999999999999999999999999999999999").unwrap_err(), "too large"),
            (size("2MB").unwrap_err(), "'MB' is not a unit of a size"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn texts_use_the_largest_unit_that_divides() {
        assert_eq!(duration_text(Duration::from_secs(60)), "60s");
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        assert_eq!(duration_text(Duration::from_secs(120)), "2m");
        assert_eq!(duration_text(Duration::from_millis(250)), "250ms");
        assert_eq!(duration_text(Duration::from_micros(7)), "7us");
        assert_eq!(duration_text(Duration::ZERO), "0s");
        assert_eq!(size_text(65_536), "64k");
        assert_eq!(size_text(1_500), "1500");
        assert_eq!(size_text(0), "0");
    }

    #[test]
    fn rates_and_percentages_may_be_fractions() {
        assert_eq!((rate("0.001"), rate("10k"), rate("1.5M")), (Ok(1), Ok(10_000_000), Ok(1_500_000_000)));
        assert_eq!((percent("99.999%"), percent("5"), percent("0.0001 %")), (Ok(999_990), Ok(50_000), Ok(1)));
        assert!(rate("0.0001").unwrap_err().to_string().contains("whole number of thousandths"));
        assert!(rate("10k/s").unwrap_err().to_string().contains("'k/s' is not a unit of a rate"));
        assert!(percent("99.99999").unwrap_err().to_string().contains("whole number of millionths"));
        assert_eq!(
            [1, 500, 1_500, 10_000_000, 100_000_000_000].map(rate_text),
            ["0.001", "0.5", "1.5", "10k", "100M"]
        );
        assert_eq!([0, 1, 50_000, 999_900].map(percent_text), ["0%", "0.0001%", "5%", "99.99%"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,24}") {
            let _ = (duration(&text), count(&text), size(&text), rate(&text), percent(&text));
        }

        #[test]
        fn what_is_written_is_read_back(value in 0u64..1 << 50) {
            prop_assert_eq!(size(&size_text(value)), Ok(value));
            prop_assert_eq!(rate(&rate_text(value)), Ok(value));
            prop_assert_eq!(percent(&percent_text(value)), Ok(value));
            let time = Duration::from_micros(value);
            prop_assert_eq!(duration(&duration_text(time)), Ok(time));
        }
    }
}
