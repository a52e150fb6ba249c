//! Who closes a connection, and how: one way for all, or several by weight.

/// How a client ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Close {
    /// We close first, by FIN, when the reply is complete.
    Fin,
    /// We wait for the other end's FIN, and answer it by ours.
    Peer,
    /// We reset it when the reply is complete.
    Rst,
    /// We close our direction behind the request, and read the reply up to the other end's FIN.
    HalfClose,
    /// We leave it without a word when the reply is complete, and answer nothing from then on.
    Abandon,
}

impl Close {
    /// All of them, in order.
    pub const ALL: [Close; 5] = [Close::Fin, Close::Peer, Close::Rst, Close::HalfClose, Close::Abandon];

    /// The word it is written with.
    pub const fn name(self) -> &'static str {
        match self {
            Close::Fin => "fin",
            Close::Peer => "peer",
            Close::Rst => "rst",
            Close::HalfClose => "half-close",
            Close::Abandon => "abandon",
        }
    }
}

/// Ways to close with their weights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closes {
    /// Each way so often in [`Closes::sum`]; sums up.
    upper: Vec<(Close, u32)>,
    /// Visits every place of the sum once.
    stride: u64,
}

impl Closes {
    /// One way for all.
    pub fn only(close: Close) -> Self {
        Closes { upper: vec![(close, 1)], stride: 1 }
    }

    /// Several ways by weight; `None` when all weights are 0 or their sum is above 2^32.
    pub fn weighted(weights: &[(Close, u32)]) -> Option<Self> {
        let mut upper: Vec<(Close, u32)> = Vec::new();
        for (close, weight) in weights.iter().filter(|(_, weight)| *weight > 0) {
            let before = upper.last().map_or(0, |(_, sum)| *sum);
            upper.push((*close, before.checked_add(*weight)?));
        }
        let sum = upper.last().map(|(_, sum)| u64::from(*sum))?;
        Some(Closes { upper, stride: stride(sum) })
    }

    /// The way of the connection with this number: within as many connections as the weights add up to, each way
    /// comes exactly as often as its weight says, spread evenly.
    pub fn of(&self, number: u64) -> Close {
        let [(only, _)] = self.upper[..] else { return self.draw(number) };
        only
    }

    fn draw(&self, number: u64) -> Close {
        let sum = u64::from(self.sum());
        // Both are below 2^32.
        let place = (number % sum * self.stride % sum) as u32;
        let found = self.upper.iter().find(|(_, upper)| place < *upper);
        found.map_or(Close::Fin, |(close, _)| *close)
    }

    /// The sum of all weights.
    pub fn sum(&self) -> u32 {
        self.upper.last().map_or(1, |(_, sum)| *sum)
    }

    /// Whether some connections end in this way.
    pub fn has(&self, close: Close) -> bool {
        self.upper.iter().any(|(way, _)| *way == close)
    }

    /// Every way with its weight.
    pub fn weights(&self) -> impl Iterator<Item = (Close, u32)> + '_ {
        let before = std::iter::once(0).chain(self.upper.iter().map(|(_, sum)| *sum));
        self.upper.iter().zip(before).map(|((close, sum), before)| (*close, sum - before))
    }
}

/// About the golden section of the sum, without a common divisor with it.
fn stride(sum: u64) -> u64 {
    let mut stride = ((sum as f64 * 0.618) as u64).max(1);
    while gcd(stride, sum) != 1 {
        stride += 1;
    }
    stride
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_comes_as_often_as_its_weight_says() {
        let closes = Closes::weighted(&[(Close::Fin, 9), (Close::Rst, 1), (Close::Peer, 0)]).unwrap();
        let drawn: Vec<_> = (0..100).map(|n| closes.of(n)).collect();
        assert_eq!(drawn.iter().filter(|close| **close == Close::Rst).count(), 10);
        assert!(drawn.chunks(10).all(|ten| ten.iter().filter(|close| **close == Close::Rst).count() == 1));
        assert!(closes.has(Close::Rst) && !closes.has(Close::Peer));
        assert_eq!(closes.weights().collect::<Vec<_>>(), [(Close::Fin, 9), (Close::Rst, 1)]);
        assert_eq!(Closes::only(Close::Abandon).of(77), Close::Abandon);
    }

    #[test]
    fn weights_that_choose_nothing_are_refused() {
        assert_eq!(Closes::weighted(&[]), None);
        assert_eq!(Closes::weighted(&[(Close::Fin, 0)]), None);
        assert_eq!(Closes::weighted(&[(Close::Fin, u32::MAX), (Close::Rst, 1)]), None);
    }
}
