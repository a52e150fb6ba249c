//! The order in which a flood uses its tuples: every one once before any comes again, neighbours far apart.

use std::ops::RangeInclusive;

/// A walk over addresses times ports in steps of one size that has no divisor in common with their number. Numbers
/// have two digits, address and port, so that a step is two additions and no division.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    addresses: u32,
    ports: u32,
    first_port: u16,
    /// Where the walk stands.
    address: u32,
    port: u32,
    step_address: u32,
    step_port: u32,
}

impl Walk {
    /// There is at least one address and one port. `seed` says where the walk begins.
    pub fn new(addresses: u32, ports: RangeInclusive<u16>, seed: u64) -> Walk {
        let count = u32::from(ports.end() - ports.start()) + 1;
        let space = u64::from(addresses) * u64::from(count);
        // The golden ratio keeps neighbours apart however many steps are looked at together.
        let golden = ((u128::from(space) * 0x9e37_79b9_7f4a_7c15) >> 64) as u64;
        let step = (golden.max(1)..=space).find(|step| gcd(*step, space) == 1).unwrap_or(1) % space;
        let start = seed % space;
        let digits = |number: u64| ((number / u64::from(count)) as u32, (number % u64::from(count)) as u32);
        let ((address, port), (step_address, step_port)) = (digits(start), digits(step));
        Walk { addresses, ports: count, first_port: *ports.start(), address, port, step_address, step_port }
    }

    /// The next tuple: the number of its address, counted from 0, and its port.
    pub fn step(&mut self) -> (u32, u16) {
        let tuple = (self.address, self.first_port + self.port as u16);
        let port = self.port + self.step_port;
        let carry = port >= self.ports;
        self.port = if carry { port - self.ports } else { port };
        let address = u64::from(self.address) + u64::from(self.step_address) + u64::from(carry);
        let addresses = u64::from(self.addresses);
        self.address = if address >= addresses { address - addresses } else { address } as u32;
        tuple
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_tuple_comes_once_before_any_comes_again() {
        for (addresses, ports) in
            [(1, 1..=1), (1, 80..=81), (7, 1_024..=1_024), (16, 40_000..=40_999), (254, 65_000..=65_535)]
        {
            let space = addresses as usize * ports.clone().count();
            for seed in [0, 1, 77, u64::MAX] {
                let mut walk = Walk::new(addresses, ports.clone(), seed);
                let seen: Vec<_> = (0..2 * space).map(|_| walk.step()).collect();
                let once: HashSet<_> = seen[..space].iter().copied().collect();
                assert_eq!(once.len(), space, "{addresses} addresses, {ports:?}");
                assert!(once.iter().all(|(number, port)| *number < addresses && ports.contains(port)));
                assert_eq!(seen[..space], seen[space..], "and then again in the same order");
            }
        }
    }

    #[test]
    fn neighbours_are_far_apart() {
        let mut walk = Walk::new(1_000, 1_024..=65_535, 3);
        let seen: Vec<_> = (0..1_000).map(|_| walk.step()).collect();
        let near = seen.windows(2).filter(|pair| pair[0].0.abs_diff(pair[1].0) < 100).count();
        assert_eq!(near, 0);
        let addresses: HashSet<_> = seen.iter().map(|(number, _)| number).collect();
        assert!(addresses.len() > 800, "{} addresses of 1,000", addresses.len());
    }

    #[test]
    fn the_largest_space_is_walked_without_an_overflow() {
        let mut walk = Walk::new(u32::MAX, 1..=u16::MAX, u64::MAX);
        let seen: HashSet<_> = (0..100_000).map(|_| walk.step()).collect();
        assert_eq!(seen.len(), 100_000);
    }
}
