//! Every reason for which a frame, packet or segment is thrown away, once: a symbol, a counter's name and a
//! sentence. A drop without a reason does not exist (law 7).

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $sentence:literal;)*) => {
        /// Why something that arrived was not used (or something to be sent was not sent).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $sentence] $(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// The counter's name, in lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(DropReason::$variant => $sentence,)* }
            }
        }
    };
}

drop_reasons! {
    // Link and Ethernet.
    FrameTooShort = "frame_too_short", "The frame is shorter than its headers.";
    FrameChained = "frame_chained", "The device spread the frame over several buffers that do not fit into one.";
    EtherNotOurs = "ether_not_ours", "The destination MAC address is neither ours nor a group's.";
    EtherType = "ether_type", "The EtherType is not served.";
    // ARP.
    ArpMalformed = "arp_malformed", "The ARP packet is not Ethernet/IPv4, or its sender is a group address.";
    ArpNotOurs = "arp_not_ours", "The ARP packet asks for another host.";
    ArpUnsolicited = "arp_unsolicited", "An ARP reply that was not asked for creates no entry.";
    ArpEcho = "arp_echo", "Our own ARP packet came back.";
    ArpConflict = "arp_conflict", "Another host claims an address of ours.";
    // IPv4.
    IpTruncated = "ip_truncated", "The IP header or its total length does not fit the frame.";
    IpVersion = "ip_version", "The IP version does not match the EtherType.";
    IpChecksum = "ip_checksum", "The IPv4 header checksum is wrong.";
    IpNotOurs = "ip_not_ours", "The destination address is not one of ours.";
    IpGroupDestination = "ip_group_destination", "Broadcast or multicast destination, at link or IP level.";
    IpInvalidSource = "ip_invalid_source", "The source address can never be a host's.";
    FragmentMalformed = "fragment_malformed", "A fragment that no datagram can have: empty, of an odd length, beyond 65535 bytes, or cutting the TCP header (IP4-7).";
    FragmentDuplicate = "fragment_duplicate", "The fragment came before.";
    FragmentsContradict = "fragments_contradict", "Fragments overlap, or differ on the datagram's end or on ECN; none of its fragments is used (IP4-7).";
    FragmentsTooMany = "fragments_too_many", "A datagram in more fragments than are allowed; none of them is used (LIM-9).";
    FragmentEvicted = "fragment_evicted", "The oldest datagram in pieces had to make room (LIM-9).";
    FragmentExpired = "fragment_expired", "The rest of the datagram did not come in time (IP4-5).";
    IpSourceRoute = "ip_source_route", "Source-routed packets are refused (IP4-8).";
    IpProtocol = "ip_protocol", "The IP protocol is not served.";
    // ICMP.
    IcmpMalformed = "icmp_malformed", "The ICMP message is too short or its checksum is wrong.";
    IcmpIgnored = "icmp_ignored", "The ICMP type is not one that a host acts upon here.";
    IcmpSourceQuench = "icmp_source_quench", "Source Quench is ignored (MUST-55).";
    IcmpQuote = "icmp_quote", "The ICMP error quotes no TCP segment, or too little of one (ICMPR-3).";
    IcmpNotSentByUs = "icmp_not_sent_by_us", "The ICMP error quotes a packet that was not sent from its destination (ICMPR-2).";
    IcmpNoConnection = "icmp_no_connection", "The ICMP error is about no connection that heeds it.";
    IcmpNotInFlight = "icmp_not_in_flight", "The ICMP error quotes a sequence number that is not in flight (ICMPR-1).";
    IcmpNoSmaller = "icmp_no_smaller", "The MTU reported is none that makes packets smaller (PMTU-1, PMTU-7).";
    IcmpRateLimited = "icmp_rate_limited", "The limit of ICMP messages a second was reached (ICMP4-7).";
    // TCP, before any state is looked at.
    TcpMalformed = "tcp_malformed", "The TCP header does not fit its segment (PRE-2).";
    TcpChecksum = "tcp_checksum", "The TCP checksum is wrong (MUST-3).";
    TcpChecksumPartial = "tcp_checksum_partial", "The TCP checksum is only the pseudo-header's: the sender left the rest to a device that did not do it (MUST-3).";
    TcpPortZero = "tcp_port_zero", "Source or destination port is 0 (PRE-7).";
    TcpLand = "tcp_land", "Source and destination are the same endpoint (PRE-6).";
    TcpBadOptions = "tcp_bad_options", "A SYN whose options cannot be walked (OPT-4).";
    // TCP without a connection.
    NoConnection = "no_connection", "No connection and no listener; answered by a reset.";
    RstRateLimited = "rst_rate_limited", "The limit of resets a second was reached (CLD-5).";
    RstNoConnection = "rst_no_connection", "A reset for no connection (CLD-1).";
    ListenRst = "listen_rst", "A reset for a listener (LIS-1).";
    ListenAck = "listen_ack", "An ACK for a listener; answered by a reset (LIS-2).";
    CookieInvalid = "cookie_invalid", "An ACK for a listener that is no SYN cookie of ours; answered by a reset (SYNC-9).";
    CookieAhead = "cookie_ahead", "A segment that may have overtaken the one which proves its SYN cookie; it will come again.";
    ListenOther = "listen_other", "Neither SYN, ACK nor RST for a listener (LIS-12).";
    SynQueueFull = "syn_queue_full", "The half-open queue is full (LIS-8).";
    AcceptQueueFull = "accept_queue_full", "Too many connections wait for the application (LIS-9, SYR-10).";
    AddressFull = "address_full", "The remote address has as many connections as it may have (LIM-3).";
    NoTcb = "no_tcb", "Every connection slot is in use (LIM-4).";
    // TCP with a connection.
    TimestampMissing = "timestamp_missing", "Timestamps were negotiated and are missing (TS-6).";
    Paws = "paws", "The timestamp is older than the last one (PAWS-1).";
    OutsideWindow = "outside_window", "The segment lies outside the receive window (COM-4).";
    RstOutsideWindow = "rst_outside_window", "A reset outside the receive window (COM-3).";
    RstNotExact = "rst_not_exact", "A reset inside the window but not at RCV.NXT (COM-6).";
    SynInConnection = "syn_in_connection", "A SYN for an open connection (COM-7, SYR-4).";
    SynRepeated = "syn_repeated", "The peer repeats its SYN; answered by the SYN-ACK again (SYR-3).";
    NoAck = "no_ack", "A segment without the ACK bit (COM-9).";
    AckTooOld = "ack_too_old", "The acknowledgment is older than anything in flight (COM-10).";
    AckUnsent = "ack_unsent", "The acknowledgment covers what was never sent (COM-11).";
    AckInHandshake = "ack_in_handshake", "A wrong acknowledgment of our SYN; answered by a reset (SYR-6, SYS-1).";
    NoSyn = "no_syn", "Neither SYN nor reset in SYN-SENT (SYS-10).";
    EcnRefused = "ecn_refused", "A reset for a SYN that asked for ECN; the SYN goes again without (SYS-5).";
    OutOfOrder = "out_of_order", "Data above RCV.NXT is not held (COM-19).";
    DataDuplicate = "data_duplicate", "All the data was received before (EST-7).";
    DataAfterFin = "data_after_fin", "Data beyond the peer's FIN (COM-20, COM-23).";
    DataAfterClose = "data_after_close", "Data for an application that has closed; answered by a reset (SHLD-3).";
    NoPlace = "no_place", "Too many connections have more to remember than an idle one for another to have it.";
    NoBuffer = "no_buffer", "No memory to hold data that the application does not take.";
    // TIME-WAIT.
    TimeWaitRst = "time_wait_rst", "A reset in TIME-WAIT is ignored (TMW-1).";
    TimeWaitOld = "time_wait_old", "An old segment in TIME-WAIT (TMW-2, TMW-4).";
    TimeWaitSyn = "time_wait_syn", "A SYN that may not reopen a connection in TIME-WAIT (TMW-6).";
    Abandoned = "abandoned", "A segment of or for a connection that the application has abandoned.";
    // Sending.
    NoFrame = "no_frame", "The device's pool had no frame for an answer.";
    TxFull = "tx_full", "The transmit ring was full and the answer is one that may be lost.";
    TxRefused = "tx_refused", "The driver refused a frame for what it asks of the device.";
    NoRoute = "no_route", "No interface or gateway leads to the destination.";
    NeighbourQueueFull = "neighbour_queue_full", "Too many frames wait for one neighbour's address.";
    NeighbourUnresolved = "neighbour_unresolved", "The neighbour did not answer ARP.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        for (position, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
