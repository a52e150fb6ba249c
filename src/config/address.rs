//! Addresses as options: `ADDR/PREFIX[@PORT]`, a gateway, `ADDR=MAC`. Says which addresses a host can have
//! (RFC 1122 3.2.1.3, RFC 3021 for /31). Which port an address belongs to is `config::assign`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ConfigError;

const ADDR_EXAMPLE: &str = "198.18.0.1/24";
const GATEWAY_EXAMPLE: &str = "198.18.0.254";
const NEIGHBOUR_EXAMPLE: &str = "198.18.0.2=02:00:00:00:00:02";

/// One `--addr`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceAddr {
    /// The address.
    pub address: IpAddr,
    /// Length of the subnet's prefix in bits.
    pub prefix: u8,
    /// The port's index or device name, where one was written.
    pub port: Option<String>,
}

/// Reads `ADDR/PREFIX[@PORT]`.
///
/// # Errors
/// Not of that form, IPv6, a prefix length out of range, or an address that is not a host's within its
/// subnet. One of the loopback's passes: on the kernel's sockets it is as good as any other.
pub fn interface(text: &str) -> Result<InterfaceAddr, ConfigError> {
    let form = ConfigError::Form { form: "ADDR/PREFIX or ADDR/PREFIX@PORT", example: ADDR_EXAMPLE };
    let (subnet, port) = match text.split_once('@') {
        Some((_, "")) => return Err(form),
        Some((subnet, port)) => (subnet, Some(port.to_owned())),
        None => (text, None),
    };
    let (address, prefix) = match subnet.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (subnet, None),
    };
    let address = ipv4(address, form.clone(), ADDR_EXAMPLE)?;
    let prefix: u8 = prefix.ok_or(form)?.parse().map_err(|_| ConfigError::Prefix)?;
    if !(1..=32).contains(&prefix) {
        return Err(ConfigError::Prefix);
    }
    if !address.is_loopback() {
        host(address)?;
    }
    let address = IpAddr::V4(address);
    inside_subnet(address, prefix)?;
    Ok(InterfaceAddr { address, prefix, port })
}

/// Reads the address of a gateway.
///
/// # Errors
/// Not an address, IPv6, or an address that no host has.
pub fn gateway(text: &str) -> Result<IpAddr, ConfigError> {
    let form = ConfigError::Form { form: "an address", example: GATEWAY_EXAMPLE };
    let address = ipv4(text, form, GATEWAY_EXAMPLE)?;
    host(address)?;
    Ok(IpAddr::V4(address))
}

/// Reads `ADDR=MAC`.
///
/// # Errors
/// Not of that form, IPv6, an address that no host has, or a MAC address that no interface has.
pub fn neighbour(text: &str) -> Result<(IpAddr, [u8; 6]), ConfigError> {
    let form = ConfigError::Form { form: "ADDR=MAC", example: NEIGHBOUR_EXAMPLE };
    let (address, hardware) = text.split_once('=').ok_or_else(|| form.clone())?;
    let address = ipv4(address, form, NEIGHBOUR_EXAMPLE)?;
    host(address)?;
    Ok((IpAddr::V4(address), mac(hardware)?))
}

/// Reads a MAC address: six groups of one or two hexadecimal digits between colons or between hyphens.
///
/// # Errors
/// Not of that form, a group address, or all zeros.
pub fn mac(text: &str) -> Result<[u8; 6], ConfigError> {
    let form = ConfigError::Form { form: "a MAC address", example: "02:00:00:00:00:02" };
    let separator = if text.contains(':') { ':' } else { '-' };
    let mut groups = text.split(separator);
    let mut octets = [0u8; 6];
    for octet in &mut octets {
        let group = groups.next().ok_or_else(|| form.clone())?;
        // `from_str_radix` would take a sign as well.
        if !(1..=2).contains(&group.len()) || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(form);
        }
        *octet = u8::from_str_radix(group, 16).map_err(|_| form.clone())?;
    }
    if groups.next().is_some() {
        return Err(form);
    }
    if octets[0] & 1 == 1 {
        return Err(ConfigError::Mac { kind: "a group's, multicast or broadcast" });
    }
    if octets == [0; 6] {
        return Err(ConfigError::Mac { kind: "all zeros" });
    }
    Ok(octets)
}

/// The subnet's mask as a number.
pub(super) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

pub(super) fn ipv4(text: &str, form: ConfigError, example: &'static str) -> Result<Ipv4Addr, ConfigError> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) if is_ipv6(text) => Err(ConfigError::Ipv6 { example }),
        Err(_) => Err(form),
    }
}

/// Brackets and a zone are IPv6 as people write it, too.
fn is_ipv6(text: &str) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
    bare.parse::<Ipv6Addr>().is_ok()
}

/// An address that a host can have at all.
pub(super) fn host(address: Ipv4Addr) -> Result<(), ConfigError> {
    let kind = match address.octets()[0] {
        0 => "in 0.0.0.0/8 (\"this network\")",
        127 => "in 127.0.0.0/8 (loopback)",
        224..=239 => "in 224.0.0.0/4 (multicast)",
        240.. => "in 240.0.0.0/4 (reserved, or broadcast)",
        _ => return Ok(()),
    };
    Err(ConfigError::NotAHost { address: IpAddr::V4(address), kind })
}

/// Neither the subnet's own address nor its broadcast address; a /31 (RFC 3021) and a /32 have neither, and
/// neither has IPv6.
pub(super) fn inside_subnet(address: IpAddr, prefix: u8) -> Result<(), ConfigError> {
    let IpAddr::V4(v4) = address else { return Ok(()) };
    let host_mask = !mask(prefix);
    let role = match u32::from(v4) & host_mask {
        _ if prefix >= 31 => return Ok(()),
        0 => "network",
        bits if bits == host_mask => "broadcast",
        _ => return Ok(()),
    };
    Err(ConfigError::SubnetEdge { address, prefix, role })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_read_with_prefix_and_port() {
        let read = |text| interface(text).map(|a| (a.address.to_string(), a.prefix, a.port));
        assert_eq!(read("198.18.0.1/24"), Ok(("198.18.0.1".into(), 24, None)));
        assert_eq!(read("10.0.0.1/8@1"), Ok(("10.0.0.1".into(), 8, Some("1".into()))));
        assert_eq!(read("10.0.0.1/8@0000:01:00.0"), Ok(("10.0.0.1".into(), 8, Some("0000:01:00.0".into()))));
        assert_eq!(read("10.0.0.0/31"), Ok(("10.0.0.0".into(), 31, None)));
        assert_eq!(read("10.0.0.0/32"), Ok(("10.0.0.0".into(), 32, None)));
        assert_eq!(read("127.0.0.9/32"), Ok(("127.0.0.9".into(), 32, None)));
    }

    #[test]
    fn a_wrong_address_is_refused_with_its_cause() {
        for (text, part) in [
            ("198.18.0.1", "write it like 198.18.0.1/24"),
            ("198.18.0/24", "not ADDR/PREFIX"),
            ("198.18.0.1/24@", "not ADDR/PREFIX"),
            ("host/24", "not ADDR/PREFIX"),
            ("198.18.0.1/33", "1 to 32"),
            ("198.18.0.1/0", "1 to 32"),
            ("198.18.0.1/x", "1 to 32"),
            ("198.18.0.0/24", "network address"),
            ("198.18.0.255/24", "broadcast address"),
            ("0.0.0.0/8", "this network"),
            ("224.0.0.1/4", "multicast"),
            ("255.255.255.255/32", "reserved"),
            ("fd00::1/64", "IPv6 is not served yet"),
            ("fd00::1", "IPv6 is not served yet"),
            ("[fd00::1]/64@0", "IPv6 is not served yet"),
            ("fe80::1%eth0/64", "IPv6 is not served yet"),
        ] {
            let error = interface(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_gateway_and_a_neighbour_are_hosts() {
        assert_eq!(gateway("198.18.0.254"), Ok("198.18.0.254".parse().unwrap()));
        assert!(gateway("198.18.0.254/24").unwrap_err().to_string().contains("not an address"));
        assert!(gateway("::1").unwrap_err().to_string().contains("IPv6"));
        assert!(gateway("224.0.0.1").unwrap_err().to_string().contains("multicast"));
        assert_eq!(
            neighbour("198.18.0.2=02:00:00:00:00:0a"),
            Ok(("198.18.0.2".parse().unwrap(), [2, 0, 0, 0, 0, 10]))
        );
        assert!(neighbour("198.18.0.2").unwrap_err().to_string().contains("ADDR=MAC"));
        assert!(neighbour("fd00::2=02:00:00:00:00:02").unwrap_err().to_string().contains("IPv6"));
    }

    #[test]
    fn a_mac_address_is_one_interface_s() {
        assert_eq!(mac("2-0-0-0-0-1"), Ok([2, 0, 0, 0, 0, 1]));
        assert_eq!(mac("AA:bb:CC:dd:EE:ff"), Ok([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]));
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:+1", "020000000001", "g:0:0:0:0:0"]
        {
            assert!(matches!(mac(text), Err(ConfigError::Form { .. })), "{text}");
        }
        assert!(matches!(mac("ff:ff:ff:ff:ff:ff"), Err(ConfigError::Mac { .. })));
        assert!(matches!(mac("01:00:5e:00:00:01"), Err(ConfigError::Mac { .. })));
        assert!(matches!(mac("00:00:00:00:00:00"), Err(ConfigError::Mac { .. })));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9a-f.:/@=%-]{0,24}|.{0,16}") {
            let _ = (interface(&text), gateway(&text), neighbour(&text), mac(&text));
        }
    }
}
