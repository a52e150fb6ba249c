//! Vectors of the requirements' section 5 that belong to no one module: whole packets of the seed trace, and
//! SipHash as published.

use dpdk_tcp::base::hash::{siphash13, siphash24};
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields, PROTOCOL_TCP};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, HEADER_LEN, Header};
use dpdk_tcp::wire::tcp_options::{self, Options, Timestamps};

const CLIENT: ([u8; 4], u16) = ([192, 168, 1, 116], 3_337);
const SERVER: ([u8; 4], u16) = ([192, 168, 1, 123], 7_788);

/// A packet of the seed trace.
struct Row {
    from: ([u8; 4], u16),
    seq: u32,
    ack: u32,
    flags: Flags,
    wnd: u16,
    options: Options,
    text: &'static [u8],
    ip: &'static str,
    tcp: &'static str,
}

fn rows() -> Vec<Row> {
    const SYN: Flags = Flags::SYN;
    const ACK: Flags = Flags::ACK;
    let (iss, irs) = (3_626_544_836, 1_739_326_486);
    let none = Options::default();
    let mss = Options { mss: Some(1460), ..none };
    let ts = Some(Timestamps { val: 1000, ecr: 0 });
    let all = Options { sack_permitted: true, timestamps: ts, window_scale: Some(7), ..mss };
    let (psh, fin, rst) = (Flags::PSH | ACK, Flags::FIN | ACK, Flags::RST | ACK);
    let row = |from, (seq, ack), flags, wnd, options, text, (ip, tcp)| Row {
        from,
        seq,
        ack,
        flags,
        wnd,
        options,
        text,
        ip,
        tcp,
    };
    let packets = [
        (
            "4500003c000040004006b67cc0a80174c0a8017b",
            "0d091e6cd828aec400000000a002faf012850000020405b40402080a000003e80000000001030307",
        ),
        ("4500002c000040004006b68cc0a8017bc0a80174", "1e6c0d0967ac0416d828aec56012fffff5b00000020405b4"),
        ("45000028000040004006b690c0a80174c0a8017b", "0d091e6cd828aec567ac0417501001f60b780000"),
        ("4500002d000040004006b68bc0a80174c0a8017b", "0d091e6cd828aec567ac0417501801f6c798000068656c6c6f"),
        ("45000028000040004006b690c0a8017bc0a80174", "1e6c0d0900000000d828aec550140000792d0000"),
        ("45000028000040004006b690c0a80174c0a8017b", "0d091e6cd828aeca67ac0417501101f60b720000"),
    ];
    vec![
        row(CLIENT, (iss, 0), SYN, 64_240, all, b"", packets[0]),
        row(SERVER, (irs, iss + 1), SYN | ACK, 65_535, mss, b"", packets[1]),
        row(CLIENT, (iss + 1, irs + 1), ACK, 502, none, b"", packets[2]),
        row(CLIENT, (iss + 1, irs + 1), psh, 502, none, b"hello", packets[3]),
        row(SERVER, (0, iss + 1), rst, 0, none, b"", packets[4]),
        row(CLIENT, (iss + 6, irs + 1), fin, 502, none, b"", packets[5]),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The packet as we would lay it out: IP header, then TCP header and text.
fn emitted(row: &Row) -> (Vec<u8>, Vec<u8>) {
    let to = if row.from == CLIENT { SERVER } else { CLIENT };
    let mut options = [0; tcp_options::LEN_MAX];
    let options_len = tcp_options::emit(&row.options, &mut options);
    let header_len = HEADER_LEN + options_len;
    let mut segment = vec![0; header_len];
    let ports = (row.from.1, to.1);
    let header =
        Header { ports, seq: Seq(row.seq), ack: Seq(row.ack), flags: row.flags, wnd: row.wnd, up: 0 };
    header.emit(segment.first_chunk_mut().unwrap(), header_len);
    segment[HEADER_LEN..].copy_from_slice(&options[..options_len]);
    segment.extend(row.text);
    let sum = (pseudo_v4(row.from.0, to.0, PROTOCOL_TCP, segment.len() as u16) + Sum::of(&segment)).finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0; 20];
    let fields = Ipv4Fields {
        source: row.from.0,
        destination: to.0,
        protocol: PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: segment.len() as u16,
        id: 0,
        dont_fragment: true,
    };
    ipv4::emit(ip.first_chunk_mut().unwrap(), &fields, true);
    (ip, segment)
}

#[test]
fn the_seed_trace_is_laid_out_and_read_to_the_octet() {
    //= VEC-CK-5..10
    //= HDR-1
    //= OPT-7
    for row in rows() {
        let (ip, segment) = emitted(&row);
        assert_eq!((hex(&ip).as_str(), hex(&segment).as_str()), (row.ip, row.tcp));
        let packet = [ip, segment].concat();
        let packet = ipv4::parse(&packet, false).unwrap();
        let (ports, read, text_at) = tcp::parse(packet.payload).unwrap();
        assert_eq!((packet.source, ports.0), row.from);
        assert_eq!((read.seq, read.ack, read.flags), (Seq(row.seq), Seq(row.ack), row.flags));
        assert_eq!((read.wnd, read.options), (row.wnd, row.options));
        assert_eq!(&packet.payload[text_at..], row.text);
    }
}

#[test]
fn sip_hash_is_the_published_one() {
    //= VEC-SIP-0..8
    //= VEC-SIP-12
    //= VEC-SIP-15..16
    //= VEC-SIP-36
    //= VEC-SIP-63
    let rows: [(usize, u64, u64); 14] = [
        (0, 0x726f_db47_dd0e_0e31, 0xabac_0158_050f_c4dc),
        (1, 0x74f8_39c5_93dc_67fd, 0xc9f4_9bf3_7d57_ca93),
        (2, 0x0d6c_8009_d9a9_4f5a, 0x82cb_9b02_4dc7_d44d),
        (3, 0x8567_6696_d7fb_7e2d, 0x8bf8_0ab8_e7dd_f7fb),
        (4, 0xcf27_94e0_2771_87b7, 0xcf75_5760_88d3_8328),
        (5, 0x1876_5564_cd99_a68d, 0xdef9_d52f_4953_3b67),
        (6, 0xcbc9_466e_58fe_e3ce, 0xc50d_2b50_c59f_22a7),
        (7, 0xab02_00f5_8b01_d137, 0xd392_7d98_9bb1_1140),
        (8, 0x93f5_f579_9a93_2462, 0x3690_9511_8d29_9a8e),
        (12, 0x751e_8fbc_860e_e5fb, 0x78a3_84b1_57b4_d9a2),
        (15, 0xa129_ca61_49be_45e5, 0xd320_d86d_2a51_9956),
        (16, 0x3f2a_cc7f_57c2_9bdb, 0xcc4f_dd1a_7d90_8b66),
        (36, 0x314d_ffbe_0815_a3b4, 0x2cf5_08d3_ada2_6206),
        (63, 0x958a_324c_eb06_4572, 0x9d19_9062_b7bb_b3a8),
    ];
    let octets: Vec<u8> = (0..64).collect();
    let key = *octets.first_chunk().unwrap();
    for (len, two_four, one_three) in rows {
        assert_eq!(siphash24(&key, &octets[..len]), two_four, "{len} octets");
        assert_eq!(siphash13(&key, &octets[..len]), one_three, "{len} octets");
    }
    let zero = [0; 16];
    assert_eq!(siphash13(&zero, b"abc"), 0xc03b_c3a0_0426_30f2);
    assert_eq!(siphash13(&zero, b"0123456789"), 0x52b6_2a41_84e1_c734);
}
