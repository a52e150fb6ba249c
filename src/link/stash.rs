//! Frames at hand between a loop and its pool: what is given back is given out next, so that received frames become those
//! of answers, hot in the cache, and the pool is seldom asked.

use arrayvec::ArrayVec;

/// Frames in a stash at most. A burst is kept at hand, and another one comes in before it is answered: twice that much
/// lets a loop send somewhat more or less than it receives without a word to the pool.
pub const STASH: usize = 128;
/// Frames that are moved between stash and pool at once.
pub const REFILL: usize = STASH / 4;

/// The frames, those that have been here for longest first.
pub type Stash<F> = ArrayVec<F, STASH>;

/// Sees that so many frames are in the stash, as far as the pool gives any to `refill`; says how many there are.
#[inline]
pub fn stock<F>(stash: &mut Stash<F>, wanted: usize, mut refill: impl FnMut(&mut Stash<F>)) -> usize {
    while stash.len() < wanted.min(STASH) {
        let before = stash.len();
        refill(stash);
        if stash.len() == before {
            break;
        }
    }
    stash.len()
}

/// The frame that came last; `None` when there is none, and none in the pool.
#[inline]
pub fn take<F>(stash: &mut Stash<F>, refill: impl FnMut(&mut Stash<F>)) -> Option<F> {
    stock(stash, 1, refill);
    stash.pop()
}
