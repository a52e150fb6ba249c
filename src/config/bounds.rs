//! The range of a number that an option takes: what it is, how it is written, and what is usual.

use std::time::Duration;

use super::{ConfigError, units};

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Notation {
    Count,
    Size,
    /// The number is microseconds.
    Duration,
    /// The number is thousandths.
    Rate,
    /// The number is millionths.
    Percent,
}

/// The range of one number.
pub(super) struct Bounds {
    what: &'static str,
    notation: Notation,
    min: u64,
    max: u64,
    why: &'static str,
    usual: &'static str,
}

pub(super) const SECOND_US: u64 = 1_000_000;
pub(super) const HOUR_US: u64 = 3_600 * SECOND_US;

impl Bounds {
    pub(super) const fn of(
        what: &'static str,
        notation: Notation,
        min: u64,
        max: u64,
        usual: &'static str,
    ) -> Self {
        Bounds { what, notation, min, max, why: "", usual }
    }

    pub(super) const fn because(self, why: &'static str) -> Self {
        Bounds { why, ..self }
    }

    fn text(&self, value: u64) -> String {
        match self.notation {
            Notation::Count => value.to_string(),
            Notation::Size => units::size_text(value),
            Notation::Duration => units::duration_text(Duration::from_micros(value)),
            Notation::Rate => units::rate_text(value),
            Notation::Percent => units::percent_text(value),
        }
    }

    /// Reads a number within the range, in the target's type; the ranges of all options fit their types.
    pub(super) fn read<T: TryFrom<u64>>(&self, text: &str) -> Result<T, ConfigError> {
        let value = match self.notation {
            Notation::Count => units::count(text)?,
            Notation::Size => units::size(text)?,
            Notation::Duration => u64::try_from(units::duration(text)?.as_micros()).unwrap_or(u64::MAX),
            Notation::Rate => units::rate(text)?,
            Notation::Percent => units::percent(text)?,
        };
        let inside = if (self.min..=self.max).contains(&value) { T::try_from(value).ok() } else { None };
        inside.ok_or_else(|| ConfigError::Range {
            what: self.what,
            min: self.text(self.min),
            max: self.text(self.max),
            why: self.why,
            usual: self.usual,
        })
    }

    pub(super) fn read_duration(&self, text: &str) -> Result<Duration, ConfigError> {
        self.read::<u64>(text).map(Duration::from_micros)
    }

    /// A rate in events a second.
    pub(super) fn read_rate(&self, text: &str) -> Result<f64, ConfigError> {
        self.read::<u64>(text).map(|thousandths| thousandths as f64 / 1e3)
    }
}
