//! What several repeats come to: their median and how far they lie apart.

use crate::base::rng::Rng;

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 10_000;

/// Median, least and most of some repeats.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Spread {
    /// The median; the mean of the two in the middle of an even number.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these values; zeros of none.
    pub fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return Spread::default() };
        Spread { median: median_of_sorted(&sorted), least: *least, most: *most }
    }

    /// How far least and most lie apart, as a share of the median.
    pub fn width(&self) -> f64 {
        if self.median > 0.0 { (self.most - self.least) / self.median } else { 0.0 }
    }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(0.0);
    if !sorted.len().is_multiple_of(2) {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|below| sorted.get(below)).copied().unwrap_or(upper);
    f64::midpoint(lower, upper)
}

/// The relative difference of two medians, `b` against `a`; `None` where `a` is 0.
pub fn difference(a: f64, b: f64) -> Option<f64> {
    (a > 0.0).then(|| (b - a) / a)
}

/// The interval in which the relative difference of both medians lies with this confidence (between 0 and 1), by the
/// percentile bootstrap (Efron 1979). `None` where a side has less than two values, or the median of `a` may be 0.
pub fn bootstrap(a: &[f64], b: &[f64], confidence: f64, rng: &mut Rng) -> Option<(f64, f64)> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let mut again = vec![0.0; a.len().max(b.len())];
    let mut resampled = |values: &[f64]| {
        let drawn = again.get_mut(..values.len())?;
        let count = u32::try_from(values.len()).ok()?;
        for place in drawn.iter_mut() {
            *place = *values.get(rng.below(count) as usize)?;
        }
        drawn.sort_by(f64::total_cmp);
        Some(median_of_sorted(drawn))
    };
    let mut differences = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        differences.push(difference(resampled(a)?, resampled(b)?)?);
    }
    differences.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    let last = RESAMPLES - 1;
    let at = |share: f64| differences.get((share * last as f64).round() as usize).copied();
    Some((at(tail)?, at(1.0 - tail)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_stands_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of(&[]), Spread::default());
        assert_eq!(Spread::of(&[90.0, 100.0, 120.0]).width(), 0.3);
        assert_eq!((difference(2.0, 3.0), difference(0.0, 3.0)), (Some(0.5), None));
    }

    #[test]
    fn a_single_value_has_no_interval() {
        let mut rng = Rng::new(1);
        assert_eq!(bootstrap(&[1.0], &[1.0, 2.0], 0.95, &mut rng), None);
        assert_eq!(bootstrap(&[1.0, 2.0], &[1.0], 0.95, &mut rng), None);
    }

    #[test]
    fn an_interval_holds_the_difference_as_often_as_it_promises() {
        // Two samples of 15 from the same uniform distribution: the true difference is 0.
        let mut rng = Rng::new(7);
        let sample =
            |rng: &mut Rng| -> Vec<f64> { (0..15).map(|_| 1_000.0 + f64::from(rng.below(100))).collect() };
        let mut held = 0;
        for _ in 0..60 {
            let (a, b) = (sample(&mut rng), sample(&mut rng));
            let (low, high) = bootstrap(&a, &b, 0.95, &mut rng).unwrap();
            assert!(low <= high);
            held += u32::from(low <= 0.0 && 0.0 <= high);
        }
        assert!((51..=60).contains(&held), "95 % of 60 are 57, and {held} held");
    }

    #[test]
    fn a_surer_interval_is_wider_and_the_same_seed_gives_the_same() {
        let a: Vec<_> = (0..9).map(|n| 100.0 + f64::from(n)).collect();
        let b: Vec<_> = a.iter().map(|value| value * 1.1).collect();
        let of = |confidence| bootstrap(&a, &b, confidence, &mut Rng::new(3)).unwrap();
        let (narrow, wide) = (of(0.5), of(0.99));
        assert!(wide.0 < narrow.0 && narrow.1 < wide.1, "{narrow:?} {wide:?}");
        assert!(narrow.0 < 0.1 && 0.1 < narrow.1, "{narrow:?}");
        assert_eq!(of(0.9), of(0.9));
    }
}
