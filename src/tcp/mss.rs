//! Segment sizes (RFC 9293 3.7.1; requirements 3.3).

use super::config::Config;

/// The fixed IPv4 header.
pub const IPV4_HEADER: u16 = 20;
/// The fixed IPv6 header.
pub const IPV6_HEADER: u16 = 40;
/// The fixed TCP header.
pub(super) const TCP_HEADER: u16 = 20;
/// Never less text than this in a full segment, whatever the peer says (MSS-5, ATK-10).
pub(super) const TEXT_MIN: u16 = 48;

/// The MSS option that we send, from the interface's MTU (MSS-1).
pub const fn advertised(mtu: u16, ip_header: u16) -> u16 {
    mtu.saturating_sub(ip_header + TCP_HEADER)
}

/// The MSS option that we send: what the MTU allows, and the settings.
pub fn announced(mtu: u16, ip_header: u16, cfg: &Config) -> u16 {
    advertised(mtu, ip_header).min(cfg.mss_max.unwrap_or(u16::MAX))
}

/// What is assumed of a peer that sends no MSS option (MUST-15).
const fn assumed(ip_header: u16) -> u16 {
    if ip_header == IPV4_HEADER { 536 } else { 1220 }
}

/// Eff.snd.MSS: octets of text in a full segment whose options take `option_bytes` (MUST-16, MSS-4). A peer's
/// value of 0 counts as absent (MSS-6).
pub fn effective(path_mtu: u16, ip_header: u16, peer: Option<u16>, option_bytes: u16, cfg: &Config) -> u16 {
    //= MUST-15
    //= MUST-16
    let peer = peer.filter(|mss| *mss != 0).unwrap_or(assumed(ip_header));
    let peer = peer.min(cfg.mss_max.unwrap_or(u16::MAX));
    let mms_s = path_mtu.saturating_sub(ip_header);
    let segment = peer.saturating_add(TCP_HEADER).min(mms_s);
    segment.saturating_sub(TCP_HEADER + option_bytes).max(TEXT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_size_follows_the_vectors() {
        //= MUST-15
        //= MUST-16
        //= MSS-5
        //= MSS-6
        //= VEC-MSS-1
        // And the floor.
        let rows = [
            (1500, IPV4_HEADER, Some(1460), 0, 1460),
            (1500, IPV4_HEADER, Some(1460), 12, 1448),
            (1500, IPV6_HEADER, Some(1440), 12, 1428),
            (1500, IPV4_HEADER, None, 0, 536),
            (1500, IPV6_HEADER, None, 0, 1220),
            (1500, IPV4_HEADER, Some(536), 12, 524),
            (9000, IPV4_HEADER, Some(8960), 12, 8948),
            (9000, IPV4_HEADER, Some(1460), 12, 1448),
            (1280, IPV6_HEADER, Some(1440), 12, 1208),
            (576, IPV4_HEADER, Some(1460), 0, 536),
            (1500, IPV4_HEADER, Some(1), 12, 48),
            (1500, IPV4_HEADER, Some(0), 0, 536),
            (1500, IPV4_HEADER, Some(65535), 0, 1460),
        ];
        for (mtu, header, peer, options, expected) in rows {
            let found = effective(mtu, header, peer, options, &Config::default());
            assert_eq!(found, expected, "{mtu} {peer:?} {options}");
        }
    }

    #[test]
    fn the_settings_can_ask_for_smaller_segments_both_ways() {
        let cfg = Config { mss_max: Some(536), ..Config::default() };
        for (peer, options, expected) in [
            (Some(1460), 0, 536),
            (Some(1460), 12, 524),
            (None, 0, 536),
            (Some(400), 0, 400),
            (Some(0), 0, 536),
        ] {
            assert_eq!(effective(1500, IPV4_HEADER, peer, options, &cfg), expected);
        }
        assert_eq!(effective(1500, IPV4_HEADER, None, 0, &Config { mss_max: Some(60), ..cfg.clone() }), 60);
        assert_eq!([576, 500].map(|mtu| announced(mtu, IPV4_HEADER, &cfg)), [536, 460]);
        assert_eq!([576, 1500].map(|mtu| announced(mtu, IPV4_HEADER, &Config::default())), [536, 1460]);
    }

    #[test]
    fn the_advertised_size_comes_from_the_interface() {
        //= MSS-1
        assert_eq!((advertised(1500, IPV4_HEADER), advertised(1500, IPV6_HEADER)), (1460, 1440));
        assert_eq!((advertised(9000, IPV4_HEADER), advertised(9000, IPV6_HEADER)), (8960, 8940));
    }
}
