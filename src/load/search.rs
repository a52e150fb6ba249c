//! A search for the highest rate that holds: it grows until a trial fails, halves what lies between, and confirms what
//! it found by a longer trial. It knows rates and whether they held, and nothing of how that was found out.

/// By how much it grows.
const GROWTH: f64 = 2.0;
/// A good and a bad rate that lie no further apart are as good as one.
const CLOSE: f64 = 1.02;
/// What is left of a rate that was not confirmed.
const STEP_DOWN: f64 = 0.97;

/// What a trial is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To find a rate that is too high.
    Grow,
    /// To find out which side of the bound it lies on.
    Bisect,
    /// To see that the highest good rate was no luck: twice as long as the others.
    Confirm,
}

impl Purpose {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Grow => "grow",
            Purpose::Bisect => "bisect",
            Purpose::Confirm => "confirm",
        }
    }

    /// How many times as long as the shortest its trial is.
    pub const fn length(self) -> u32 {
        match self {
            Purpose::Grow | Purpose::Bisect => 1,
            Purpose::Confirm => 2,
        }
    }
}

/// What is next.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Next {
    /// A trial, whose result is to be told to [`Search::tried`].
    Try {
        /// Connections a second.
        rate: f64,
        /// What for.
        purpose: Purpose,
    },
    /// This rate was confirmed.
    Found {
        /// Connections a second.
        rate: f64,
        /// The lowest rate that failed, if any did: `None` where the highest that may be tried held.
        failed: Option<f64>,
    },
    /// Not even the lowest rate held.
    Nothing,
}

/// The search.
#[derive(Clone, Debug)]
pub struct Search {
    from: f64,
    to: f64,
    /// The highest rate that held, and the lowest that did not.
    good: Option<f64>,
    bad: Option<f64>,
    next: Next,
}

impl Search {
    /// From `from` to `to` connections a second, both above 0; where `to` is below `from` it is taken for `from`.
    pub fn new(from: f64, to: f64) -> Self {
        let next = Next::Try { rate: from, purpose: Purpose::Grow };
        Search { from, to: to.max(from), good: None, bad: None, next }
    }

    /// What is next; the same until [`Search::tried`] is told a result.
    pub fn next(&self) -> Next {
        self.next
    }

    /// Takes the result of the trial that was next. Once the search is over nothing changes any more.
    pub fn tried(&mut self, held: bool) {
        let Next::Try { rate, purpose } = self.next else { return };
        if held {
            self.good = Some(self.good.unwrap_or(0.0).max(rate));
        } else {
            self.bad = Some(self.bad.unwrap_or(f64::INFINITY).min(rate));
        }
        self.next = match purpose {
            Purpose::Confirm if held => Next::Found { rate, failed: self.bad },
            Purpose::Confirm => self.below(rate),
            Purpose::Grow | Purpose::Bisect => self.between(),
        };
    }

    /// A rate between what held and what did not; a confirmation where they are close.
    fn between(&self) -> Next {
        let Some(good) = self.good else { return Next::Nothing };
        match self.bad {
            None if good >= self.to => Next::Try { rate: good, purpose: Purpose::Confirm },
            None => Next::Try { rate: (good * GROWTH).min(self.to), purpose: Purpose::Grow },
            Some(bad) if bad <= good * CLOSE => Next::Try { rate: good, purpose: Purpose::Confirm },
            // In the middle by their ratio, since the bound is known to a ratio.
            Some(bad) => Next::Try { rate: readable((good * bad).sqrt()), purpose: Purpose::Bisect },
        }
    }

    /// What is to be confirmed instead of a rate that was not.
    fn below(&self, rate: f64) -> Next {
        if rate <= self.from {
            return Next::Nothing;
        }
        Next::Try { rate: readable(rate * STEP_DOWN).max(self.from), purpose: Purpose::Confirm }
    }
}

/// A whole number, where that is a difference of less than half a per cent.
fn readable(rate: f64) -> f64 {
    if rate < 100.0 { rate } else { rate.round() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// Runs a search against something that answers; says how it ended, and what was tried.
    fn run(from: f64, to: f64, mut holds: impl FnMut(f64, Purpose) -> bool) -> (Next, Vec<(f64, Purpose)>) {
        let mut search = Search::new(from, to);
        let mut tried = Vec::new();
        while let Next::Try { rate, purpose } = search.next() {
            assert!((from..=to).contains(&rate), "{rate}");
            assert!(tried.len() < 1_000, "it does not end");
            tried.push((rate, purpose));
            let held = holds(rate, purpose);
            search.tried(held);
        }
        (search.next(), tried)
    }

    #[track_caller]
    fn found(next: Next) -> (f64, Option<f64>) {
        let Next::Found { rate, failed } = next else { panic!("{next:?}") };
        (rate, failed)
    }

    #[test]
    fn a_bound_is_found_to_two_per_cent_from_below() {
        let bounds = [1e3, 1_001.0, 1_999.0, 2e3, 54_321.0, 9e5, 99e6].map(|bound| (1e3, bound));
        for (from, bound) in bounds.into_iter().chain([(0.001, 0.007), (0.5, 99.5), (7.0, 107.0)]) {
            let (next, tried) = run(from, 1e8, |rate, _| rate <= bound);
            let (rate, failed) = found(next);
            assert!(rate <= bound && bound < rate * CLOSE, "{bound}: {rate}");
            assert!(failed.is_some_and(|failed| failed > bound && failed <= rate * CLOSE), "{failed:?}");
            assert_eq!(tried.iter().filter(|(_, purpose)| *purpose == Purpose::Confirm).count(), 1);
            assert!(tried.len() <= 27, "{bound}: {} trials", tried.len());
        }
    }

    #[test]
    fn it_grows_by_doubling_and_up_to_the_highest_rate() {
        let (next, tried) = run(1_000.0, 5_000.0, |_, _| true);
        assert_eq!(found(next), (5_000.0, None));
        let grow = Purpose::Grow;
        let wanted = [(1e3, grow), (2e3, grow), (4e3, grow), (5e3, grow), (5e3, Purpose::Confirm)];
        assert_eq!(tried, wanted);
    }

    #[test]
    fn where_the_lowest_rate_fails_nothing_else_is_tried() {
        assert_eq!(run(1_000.0, 1e8, |_, _| false), (Next::Nothing, vec![(1e3, Purpose::Grow)]));
    }

    #[test]
    fn what_was_luck_is_stepped_down_from_until_it_holds() {
        // Short trials hold up to 100,000, long ones up to 80,000.
        let holds = |rate: f64, purpose| rate <= if purpose == Purpose::Confirm { 80e3 } else { 100e3 };
        let (next, tried) = run(1e3, 1e8, holds);
        let (rate, failed) = found(next);
        assert!(rate <= 80e3 && rate > 80e3 * STEP_DOWN - 1.0, "{rate}");
        assert!(failed.is_some_and(|failed| failed <= rate / STEP_DOWN * 1.000_1), "{failed:?}");
        let steps: Vec<_> = tried.iter().filter(|(_, purpose)| *purpose == Purpose::Confirm).collect();
        assert!(steps.windows(2).all(|pair| (pair[1].0 / pair[0].0 - STEP_DOWN).abs() < 1e-4));
        assert!(tried.iter().all(|(rate, _)| rate.fract() == 0.0), "{tried:?}");
    }

    #[test]
    fn what_is_never_confirmed_ends_at_the_lowest_rate() {
        let (next, tried) = run(1e3, 1.1e3, |_, purpose| purpose != Purpose::Confirm);
        assert_eq!((next, tried.last()), (Next::Nothing, Some(&(1e3, Purpose::Confirm))));
    }

    #[test]
    fn noise_ends_too_and_what_is_found_was_confirmed() {
        let mut rng = Rng::new(5);
        for _ in 0..500 {
            // Surely good below 40,000, surely bad above 60,000, and by chance in between.
            let mut last = (0.0, false);
            let (next, _) = run(1e3, 1e6, |rate, purpose| {
                let luck = 40e3 + 20e3 * f64::from(rng.below(1_000)) / 1e3;
                last = (rate, rate <= luck && (purpose != Purpose::Confirm || rate < 60e3));
                last.1
            });
            let (rate, failed) = found(next);
            assert_eq!(last, (rate, true));
            assert!((38e3..=60e3).contains(&rate) && failed.is_some(), "{rate}");
        }
    }

    #[test]
    fn a_range_of_one_rate_is_tried_and_confirmed() {
        let (next, tried) = run(500.0, 500.0, |_, _| true);
        assert_eq!((found(next), tried.len()), ((500.0, None), 2));
        assert_eq!(Search::new(5.0, 1.0).next(), Next::Try { rate: 5.0, purpose: Purpose::Grow });
    }

    #[test]
    fn results_behind_the_end_change_nothing() {
        let mut search = Search::new(1.0, 2.0);
        search.tried(false);
        search.tried(true);
        assert_eq!(search.next(), Next::Nothing);
        assert_eq!((Purpose::Confirm.length(), Purpose::Bisect.name()), (2, "bisect"));
    }
}
