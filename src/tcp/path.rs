//! The way of each connection through its states, for simulations that count transitions. Debug builds alone keep
//! it; in release builds nothing is stored and nothing done.

use super::state::State;

#[cfg(debug_assertions)]
const STATES: usize = State::ALL.len();

/// The states of one connection so far, the first one included. No way is longer than fifteen: the only circle,
/// through LISTEN, needs a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path(#[cfg(debug_assertions)] u64);

impl Path {
    /// A way that begins.
    pub(super) const fn from(first: State) -> Path {
        let _ = first;
        Path(
            #[cfg(debug_assertions)]
            {
                first as u64 + 1
            },
        )
    }

    /// Another state follows.
    pub(super) const fn enter(&mut self, next: State) {
        let _ = next;
        #[cfg(debug_assertions)]
        {
            self.0 = self.0 << 4 | (next as u64 + 1);
        }
    }

    #[cfg(debug_assertions)]
    fn number(self, place: u32) -> Option<usize> {
        usize::try_from(self.0 >> (4 * place) & 0xf).ok()?.checked_sub(1)
    }
}

/// How often each state followed each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transitions(#[cfg(debug_assertions)] [[u32; STATES]; STATES]);

impl Transitions {
    /// Adds the way of a connection that has ended.
    pub fn add(&mut self, path: Path) {
        let _ = path;
        #[cfg(debug_assertions)]
        for place in 0..15 {
            let (Some(to), Some(from)) = (path.number(place), path.number(place + 1)) else { return };
            if let Some(count) = self.0.get_mut(from).and_then(|row| row.get_mut(to)) {
                *count += 1;
            }
        }
    }

    /// How often `to` followed `from`; 0 in release builds.
    pub fn get(&self, from: State, to: State) -> u32 {
        let _ = (from, to);
        #[cfg(debug_assertions)]
        return self.0.get(from as usize).and_then(|row| row.get(to as usize)).copied().unwrap_or(0);
        #[cfg(not(debug_assertions))]
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_longest_way_is_counted() {
        let way = [
            State::Closed,
            State::SynSent,
            State::SynReceived,
            State::Established,
            State::FinWait1,
            State::Closing,
            State::TimeWait,
            State::Closed,
        ];
        let mut path = Path::from(way[0]);
        way[1..].iter().for_each(|state| path.enter(*state));
        let mut transitions = Transitions::default();
        transitions.add(path);
        transitions.add(path);
        let kept = u32::from(cfg!(debug_assertions));
        for pair in way.windows(2) {
            assert_eq!(transitions.get(pair[0], pair[1]), 2 * kept, "{pair:?}");
        }
        assert_eq!(transitions.get(State::Closed, State::Listen), 0);
    }
}
