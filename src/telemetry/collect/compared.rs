//! What was counted between two moments of a run, and which of its time that is.

use crate::telemetry::figures::Point;

/// All loops of each side together.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    pub sides: [Point; 2],
}

/// Which time the figures of a run are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Extent {
    /// None: it was interrupted before.
    #[default]
    Nothing,
    /// All: it was over before.
    All,
    /// It was interrupted soon: what there is of the measured time, and the drain.
    Begun,
    /// What was to be measured.
    Measured,
}

impl Extent {
    /// What has to be known about the figures.
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            Extent::Measured => None,
            Extent::All => Some(
                "The run was over before two moments of its measured time: the figures are of all of it.",
            ),
            Extent::Begun => Some(
                "The run was interrupted early in its measured time: the figures are of that and of the drain.",
            ),
            Extent::Nothing => {
                Some("The run was interrupted before its measured time: nothing was measured.")
            }
        }
    }
}

/// What was counted between two moments, or in several such times together.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    pub points: [Point; 2],
    pub seconds: [f64; 2],
    pub of: Extent,
}

impl Compared {
    /// From the first to the last.
    pub fn between(first: &Moment, last: &Moment) -> Compared {
        let of = |at: usize| (&last.sides[at], &first.sides[at]);
        let seconds = [0, 1].map(|at| {
            let (last, first) = of(at);
            last.to_ns.saturating_sub(first.to_ns) as f64 / 1e9
        });
        let points = [0, 1].map(|at| of(at).0.since(of(at).1));
        Compared { points, seconds, of: Extent::Measured }
    }

    /// Both times together.
    pub fn then(&self, later: &Compared) -> Compared {
        let points = [0, 1].map(|at| self.points[at].then(&later.points[at]));
        let seconds = [0, 1].map(|at| self.seconds[at] + later.seconds[at]);
        Compared { points, seconds, of: self.of }
    }
}
