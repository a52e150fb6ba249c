//! The options of `compare` as checked values.

use std::path::PathBuf;

use super::ConfigError;
use super::bounds::{Bounds, Notation};

/// Everything that `compare` can be told.
#[derive(Clone, PartialEq, Debug)]
pub struct CompareOptions {
    /// The results to compare with.
    pub before: PathBuf,
    /// The results that are judged.
    pub after: PathBuf,
    /// `--confidence`: of the intervals, 0.5 to 0.9999.
    pub confidence: f64,
    /// `--threshold`: a difference for the worse by more than this share, 0 to 1, is a failure.
    pub threshold: f64,
}

const CONFIDENCE: Bounds = Bounds::of("the confidence", Notation::Percent, 500_000, 999_900, "95%");
const THRESHOLD: Bounds = Bounds::of("the threshold", Notation::Percent, 0, 1_000_000, "5%");

/// Reads `--confidence`, 50% to 99.99%, as a share.
///
/// # Errors
/// Not a percentage, or out of range.
pub fn confidence(text: &str) -> Result<f64, ConfigError> {
    CONFIDENCE.read::<u64>(text).map(|millionths| millionths as f64 / 1e6)
}

/// Reads `--threshold`, 0% to 100%, as a share.
///
/// # Errors
/// Not a percentage, or out of range.
pub fn threshold(text: &str) -> Result<f64, ConfigError> {
    THRESHOLD.read::<u64>(text).map(|millionths| millionths as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_ranges() {
        assert_eq!((confidence("95%"), threshold("2.5"), threshold("0")), (Ok(0.95), Ok(0.025), Ok(0.0)));
        assert!(confidence("100%").unwrap_err().to_string().contains("the confidence must be 50% to 99.99%"));
        assert!(threshold("101%").unwrap_err().to_string().contains("0% to 100%; the usual value is 5%"));
    }
}
