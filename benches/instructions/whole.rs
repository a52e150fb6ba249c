//! A thousand connections, from the first SYN to the last acknowledgment.

use dpdk_tcp::app::client::Order;

use crate::both::{Both, Shape};

const CONNECTIONS: u64 = 1_000;
/// At a time.
const CONCURRENCY: u32 = 64;

impl Both {
    /// With a request and its reply in each, or only opened and closed.
    pub fn new(talks: bool) -> Both {
        let shape = Shape {
            talks,
            concurrency: CONCURRENCY,
            connections: Some(CONNECTIONS),
            rate_max: 1e3,
            order: Order::Own,
        };
        Both::of(&shape)
    }

    /// What is counted.
    #[inline(never)]
    pub fn run(&mut self) {
        while !self.client.worker().app().is_done() {
            self.turn();
        }
    }

    /// All ended as planned, in as few packets as are possible.
    pub fn check(mut self) {
        assert_eq!(self.closed(), CONNECTIONS, "{:?}", self.client.worker().app().tally());
        assert_eq!(self.segments(), 6 * CONNECTIONS);
    }
}
