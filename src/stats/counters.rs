//! The counters of one worker. Only that worker writes them; anybody may read. A read is a snapshot of each
//! counter, not of all of them at one instant.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::drop_reason::DropReason;

macro_rules! counters {
    ($($variant:ident = $name:literal, $sentence:literal;)*) => {
        /// What is counted besides drops.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Counter {
            $(#[doc = $sentence] $variant,)*
        }

        impl Counter {
            /// All counters, in order.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// The counter's name, in lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Counter::$variant => $sentence,)* }
            }
        }
    };
}

counters! {
    RxFrames = "rx_frames", "Frames received.";
    RxBytes = "rx_bytes", "Bytes received, Ethernet headers included.";
    RxBursts = "rx_bursts", "Calls that received at least one frame.";
    TxFrames = "tx_frames", "Frames handed to the device.";
    TxBytes = "tx_bytes", "Bytes handed to the device, Ethernet headers included.";
    TxBursts = "tx_bursts", "Calls that handed at least one frame to the device.";
    RxSegments = "rx_segments", "TCP segments received with a correct checksum.";
    TxSegments = "tx_segments", "TCP segments handed to the device; one that it cuts counts once.";
    LargeSegments = "large_segments", "Segments that the device is asked to cut into several packets.";
    ArpRequestsAnswered = "arp_requests_answered", "ARP requests answered.";
    ArpRequestsSent = "arp_requests_sent", "ARP requests sent.";
    EchoAnswered = "icmp_echo_answered", "ICMP echo requests answered.";
    Reassembled = "reassembled", "IPv4 packets put together from fragments.";
    ReassemblyTimedOut = "reassembly_timed_out", "ICMP errors sent because the rest of a packet did not come (ICMP 11/1).";
    Syn = "syn", "SYNs that opened a half-open entry.";
    SynAckRepeated = "syn_ack_repeated", "SYN-ACKs repeated by their timer.";
    SynAckAnswered = "syn_ack_answered", "SYN-ACKs repeated because the SYN came again.";
    HalfOpenExpired = "half_open_expired", "Half-open entries that reached the end of their lifetime.";
    HalfOpenReset = "half_open_reset", "Half-open entries ended by a reset.";
    HalfOpenAborted = "half_open_aborted", "Half-open entries that we ended: the listener closed.";
    CookiesSent = "cookies_sent", "SYNs answered by a SYN cookie.";
    CookiesGood = "cookies_good", "Connections opened by a SYN cookie that came back.";
    SynSent = "syn_sent", "Connections that we began to open.";
    SynRepeated = "syn_repeated", "SYNs repeated by their timer.";
    Refused = "refused", "Connections that we began to open and a reset refused.";
    SynTimedOut = "syn_timed_out", "Connections that we began to open and nobody answered.";
    Unreachable = "unreachable", "Connections that an ICMP error ended before they were open.";
    SynAborted = "syn_aborted", "Connections that we began to open and gave up ourselves.";
    Established = "established", "Connections that became ESTABLISHED.";
    Finished = "finished", "Connections closed by FINs both ways.";
    ResetByPeer = "reset_by_peer", "Established connections that the peer reset.";
    Aborted = "aborted", "Established connections that we aborted.";
    Abandoned = "abandoned", "Established connections that we left without a word.";
    TimedOut = "timed_out", "Established connections given up after the user timeout.";
    AwakeForgot = "awake_forgot", "Idle connections that forgot what they had learnt of their path, to take less memory.";
    AwakeReset = "awake_reset", "Connections reset because too many had more to remember than an idle one.";
    ClosingReset = "closing_reset", "Connections that nobody waited for any more, reset to make room (LIM-8).";
    Silent = "silent", "Connections whose peers answered no keep-alive probe.";
    FinWait2TimedOut = "fin_wait_2_timed_out", "Connections closed for good whose peer never closed its side.";
    TimeWaitEntered = "time_wait_entered", "Connections that entered TIME-WAIT, and abandoned ones, which are remembered as long.";
    TimeWaitReopened = "time_wait_reopened", "TIME-WAIT entries reopened by a new SYN (RFC 6191).";
    TimeWaitOpened = "time_wait_opened", "TIME-WAIT entries that made way for a connection that we open (TMW-9).";
    TimeWaitExpired = "time_wait_expired", "TIME-WAIT entries that lasted 2 MSL.";
    TimeWaitEvicted = "time_wait_evicted", "TIME-WAIT entries that had to go before their time (LIM-7).";
    RstSent = "rst_sent", "Resets sent.";
    ChallengeAcks = "challenge_acks", "Challenge ACKs sent (RFC 5961).";
    ChallengeLimited = "challenge_limited", "Challenge ACKs not sent because of a limit.";
    Retransmissions = "retransmissions", "Segments with data or FIN sent again.";
    PathMtuChanged = "path_mtu_changed", "Times that a connection learned of another path MTU.";
    PathMtuHeld = "path_mtu_held", "Reports of a smaller path MTU that had to wait for a timeout (RFC 5927).";
    PathMtuProbes = "path_mtu_probes", "Segments sent to find out whether the path takes larger ones.";
    BlackHoles = "black_holes", "Times that large segments seemed to be swallowed in silence (RFC 4821).";
    RtoExpired = "rto_expired", "Retransmission timeouts.";
    RackLosses = "rack_losses", "Acknowledgments and timers by which RACK found losses (RFC 8985).";
    RackTimers = "rack_timers", "Expiries of RACK's reordering timer.";
    FastRecoveries = "fast_recoveries", "Fast recoveries begun.";
    LimitedTransmits = "limited_transmits", "Early duplicate acknowledgments that let new data go (RFC 3042).";
    PrrGrants = "prr_grants", "Acknowledgments in recovery by which PRR let something go (RFC 6937).";
    TailProbes = "tail_loss_probes", "Tail loss probes due (RFC 8985 7).";
    TailRepaired = "tail_losses_repaired", "Losses that a tail loss probe repaired.";
    ForwardRtos = "frto_begun", "Timeouts that F-RTO examined (RFC 5682).";
    ForwardRtoUndone = "frto_undone", "Timeouts that F-RTO found to be spurious.";
    EifelUndone = "eifel_undone", "Recoveries that a timestamp showed to be spurious (RFC 3522).";
    DuplicateUndone = "dsack_undone", "Recoveries that D-SACK showed to be spurious (RFC 3708).";
    DuplicatesReported = "dsack_received", "Duplicates that peers reported (RFC 2883).";
    Reneged = "sack_reneged", "Peers that threw away what they had reported (RFC 2018 8).";
    RecoveryShort = "recovery_short", "Times a connection found no record for loss recovery.";
    Probes = "zero_window_probes", "Zero-window probes sent.";
    KeepAlives = "keep_alive_probes", "Keep-alive probes sent.";
    OverridesExpired = "overrides_expired", "Small segments sent because they had waited long enough for company.";
    AcksDelayed = "acks_delayed", "Acknowledgments sent because they had waited long enough for data.";
    OctetsReceived = "octets_received", "Octets of data delivered in order.";
    OctetsHeld = "octets_held", "Octets that came before their turn and were kept for it.";
    OctetsAcked = "octets_acked", "Octets of data that the peer acknowledged.";
}

const EVENTS: usize = Counter::ALL.len();
const DROPS: usize = DropReason::ALL.len();

/// One worker's counters, kept on lines of their own so that readers do not slow the neighbours down.
#[repr(align(128))]
pub struct Counters {
    events: [AtomicU64; EVENTS],
    drops: [AtomicU64; DROPS],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            events: [const { AtomicU64::new(0) }; EVENTS],
            drops: [const { AtomicU64::new(0) }; DROPS],
        }
    }
}

/// A single writer needs no locked addition: a load and a store are enough.
fn bump(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl Counters {
    /// Adds `n` to a counter. To be called by the owning worker only.
    pub fn add(&self, counter: Counter, n: u64) {
        bump(&self.events[counter as usize], n);
    }

    /// Counts one drop. To be called by the owning worker only.
    pub fn drop_one(&self, reason: DropReason) {
        bump(&self.drops[reason as usize], 1);
    }

    /// A counter's value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.events[counter as usize].load(Ordering::Relaxed)
    }

    /// How often this reason was counted.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].load(Ordering::Relaxed)
    }
}
