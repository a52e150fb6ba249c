//! Packets that come in pieces, off the fast path: each fragment waits its turn in the burst like a segment, and
//! the packet that it completes is processed as if it had come in one frame. Joins `inet::reassembly` with the loop.

use super::api::App;
use super::classify::{self, Class, Ingress, Received};
use super::host::Host;
use super::limits::EXPIRE_MAX;
use super::port::Port;
use super::process::Arrived;
use super::shard::Shard;
use crate::base::hash::Key;
use crate::base::time::Instant;
use crate::flow::table::Hint;
use crate::inet::reassembly::{Limits, Reassembly};
use crate::link::QueuePair;
use crate::stats::counters::Counter;
use crate::wire::ethernet;
use crate::wire::ipv4::{self, PACKET_MAX};

/// Fragments that wait, and the place where they become a packet.
pub(super) struct Fragments {
    reassembly: Reassembly,
    whole: Box<[u8]>,
}

/// What of the loop a whole packet may reach.
pub(super) struct Join<'a, Q: QueuePair, A: App> {
    pub ports: &'a mut [Port<Q>],
    pub host: &'a mut Host<Q::Frame>,
    pub shard: &'a mut Shard,
    pub app: &'a mut A,
}

impl Fragments {
    pub fn new(limits: &Limits, secret: Key) -> Self {
        Fragments { reassembly: Reassembly::new(limits, secret), whole: vec![0; PACKET_MAX].into() }
    }

    /// Datagrams that wait.
    pub fn len(&self) -> u32 {
        self.reassembly.len()
    }

    /// A frame that was classified as a fragment for us.
    pub fn arrives<Q: QueuePair, A: App>(&mut self, join: Join<'_, Q, A>, interface: usize, frame: &[u8]) {
        let Some((_, payload)) = ethernet::parse(frame) else { return };
        let Ok(packet) = ipv4::parse(payload, true) else { return };
        let lost = &mut |reason| join.shard.drop_one(reason);
        let now = join.shard.now;
        let Some(len) = self.reassembly.fragment_arrives(&packet, now, &mut self.whole, lost) else { return };
        join.shard.count(Counter::Reassembled);
        let Some(port) = join.ports.get(interface) else { return };
        let ingress = Ingress { interface: interface as u8, mac: port.mac(), locals: &join.shard.locals };
        let whole = self.whole.get(..len).unwrap_or_default();
        match classify::whole(whole, ingress) {
            Err(reason) => join.shard.drop_one(reason),
            Ok(Class::Tcp(Received { key, segment, text_at })) => {
                join.shard.count(Counter::RxSegments);
                let arrived = Arrived { key, hash: join.shard.hash(&key), hint: Hint::Elsewhere, segment };
                join.shard.segment_arrives(join.app, &arrived, arrived.text(whole, text_at));
            }
            Ok(Class::Ipv4 { local, packet }) => {
                if let Some(reported) = join.host.ipv4_arrives(join.ports, join.shard, local, &packet) {
                    join.shard.icmp_arrives(join.app, &reported);
                }
            }
            // Neither is made of fragments.
            Ok(Class::Arp(_) | Class::Fragment { .. }) => {}
        }
    }

    /// Throws away what waited too long, and tells the senders.
    pub fn expire<Q: QueuePair>(
        &mut self,
        ports: &mut [Port<Q>],
        host: &mut Host<Q::Frame>,
        shard: &Shard,
        now: Instant,
    ) {
        //= IP4-5
        for _ in 0..EXPIRE_MAX {
            let lost = &mut |reason| shard.drop_one(reason);
            let Some(expired) = self.reassembly.expire(now.tick(), lost) else { return };
            if let Some(quote) = expired.first {
                host.reassembly_timed_out(ports, shard, &quote.packet());
            }
        }
    }
}
