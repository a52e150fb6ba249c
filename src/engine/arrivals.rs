//! What a burst holds for connections, in the order of arrival. Segments stand in places that are kept from burst to
//! burst: they are large, and each is written where it stays.

use super::classify::Received;
use super::errors::Reported;
use super::process::Arrived;
use crate::base::burst::{BURST_MAX, Burst};
use crate::base::ids::LocalIdx;
use crate::flow::key::Key;
use crate::flow::table::Hint;
use crate::wire::tcp::Segment;
use crate::wire::usual::Endpoints;

/// A segment, and where it is.
pub(super) struct Place {
    pub arrived: Arrived,
    /// Its endpoints as they stand in the frame.
    pub endpoints: Endpoints,
    /// The number of its frame.
    pub frame: u16,
    /// Where its text begins there.
    pub text_at: u16,
}

/// What is no segment.
pub(super) enum Other {
    /// An ICMP error.
    Error(Reported),
    /// The number of a fragment's frame.
    Fragment { frame: u16 },
}

/// What a burst holds. Every frame is at most one thing, so that there is always room.
pub(super) struct Arrivals {
    places: Box<[Place]>,
    segments: usize,
    /// With the number of segments that came before.
    others: Burst<(usize, Other)>,
}

impl Default for Arrivals {
    fn default() -> Self {
        let key = Key { remote: 0, remote_port: 0, local_port: 0, local: LocalIdx(0) };
        let place = |_| Place {
            arrived: Arrived { key, hash: 0, hint: Hint::Elsewhere, segment: Segment::default() },
            endpoints: Endpoints::default(),
            frame: 0,
            text_at: 0,
        };
        Arrivals { places: (0..BURST_MAX).map(place).collect(), segments: 0, others: Burst::new() }
    }
}

impl Arrivals {
    pub fn clear(&mut self) {
        self.segments = 0;
        self.others.clear();
    }

    /// The places for more segments; [`Arrivals::take`] says how many of them hold one.
    #[inline]
    pub fn free(&mut self) -> &mut [Place] {
        self.places.get_mut(self.segments..).unwrap_or_default()
    }

    /// So many of the free places hold segments now.
    #[inline]
    pub fn take(&mut self, count: usize) {
        self.segments = (self.segments + count).min(self.places.len());
    }

    /// The segments.
    #[inline]
    pub fn segments(&mut self) -> &mut [Place] {
        self.places.get_mut(..self.segments).unwrap_or_default()
    }

    /// Adds a segment.
    pub fn push(&mut self, frame: u16, received: Received, hash: u64) {
        let Received { key, segment, text_at } = received;
        if let Some(place) = self.free().first_mut() {
            let arrived = Arrived { key, hash, hint: Hint::Elsewhere, segment };
            *place = Place { arrived, endpoints: Endpoints::default(), frame, text_at };
            self.take(1);
        }
    }

    /// Adds something else.
    pub fn push_other(&mut self, other: Other) {
        let _ = self.others.try_push((self.segments, other));
    }

    /// All in the order of arrival.
    #[inline]
    pub fn in_order(&self) -> InOrder<'_> {
        let places = self.places.get(..self.segments).unwrap_or_default();
        InOrder { places, others: &self.others, run: run_before(&self.others, self.segments), done: 0 }
    }
}

/// Segments that come before the first of these, of so many in all.
fn run_before(others: &[(usize, Other)], segments: usize) -> usize {
    others.first().map_or(segments, |(before, _)| *before)
}

/// See [`Arrivals::in_order`].
pub(super) struct InOrder<'a> {
    places: &'a [Place],
    others: &'a [(usize, Other)],
    /// Segments up to the next of the others.
    run: usize,
    /// Segments that have come out.
    done: usize,
}

impl<'a> InOrder<'a> {
    #[cold]
    fn other(&mut self) -> Option<Next<'a>> {
        let ((_, other), rest) = self.others.split_first()?;
        self.others = rest;
        self.run = run_before(rest, self.places.len());
        Some(Next::Other(other))
    }
}

impl<'a> Iterator for InOrder<'a> {
    type Item = Next<'a>;

    #[inline]
    fn next(&mut self) -> Option<Next<'a>> {
        if self.done < self.run
            && let Some(place) = self.places.get(self.done)
        {
            self.done += 1;
            return Some(Next::Segment(place));
        }
        self.other()
    }
}

/// What comes next.
pub(super) enum Next<'a> {
    Segment(&'a Place),
    Other(&'a Other),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_comes_out_in_the_order_of_arrival() {
        // S: a segment, F: a fragment; each has the number of its frame.
        for kinds in ["", "S", "F", "SSS", "FFF", "SFSFS", "FSSF", "FFSSFFS", "SSFFF"] {
            let mut arrivals = Arrivals::default();
            // Of the burst before nothing is left.
            arrivals.take(2);
            arrivals.push_other(Other::Fragment { frame: 9 });
            arrivals.clear();
            for (number, kind) in kinds.chars().enumerate() {
                let frame = number as u16;
                match kind {
                    'S' => {
                        arrivals.free()[0].frame = frame;
                        arrivals.take(1);
                    }
                    _ => arrivals.push_other(Other::Fragment { frame }),
                }
            }
            let found: Vec<_> = arrivals
                .in_order()
                .map(|next| match next {
                    Next::Segment(place) => ('S', place.frame),
                    Next::Other(Other::Fragment { frame }) => ('F', *frame),
                    Next::Other(Other::Error(_)) => ('E', 0),
                })
                .collect();
            let expected: Vec<_> = kinds.chars().zip(0..).collect();
            assert_eq!(found, expected, "{kinds}");
        }
    }

    #[test]
    fn a_burst_finds_room_and_no_more() {
        let mut arrivals = Arrivals::default();
        arrivals.take(BURST_MAX + 1);
        assert_eq!((arrivals.segments().len(), arrivals.free().len()), (BURST_MAX, 0));
    }
}
