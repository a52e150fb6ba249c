//! Ranges of endpoints as options: where connections go (`ADDR:PORT`, `PREFIX/LEN:PORT-PORT`) and where they come
//! from. Ranges become consecutive addresses and ports; none overlaps another, so that every pair of endpoints is
//! one pair only.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

use super::ConfigError;
use super::address::{host, ipv4, mask};
use crate::load::tuples::{Addresses, Ports, Target};

const TARGET_EXAMPLE: &str = "198.18.0.2:80";
const SOURCE_EXAMPLE: &str = "198.18.1.0/24";

/// Why ranges of endpoints cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RangeError {
    /// No target at all.
    #[error("there is no TARGET to connect to; write one like 198.18.0.2:80")]
    NoTarget,
    /// A prefix that is too short.
    #[error("the prefix length of a range must be 8 to 32, as in 198.18.1.0/24")]
    Prefix,
    /// Not ports.
    #[error("'{0}' is neither a TCP port nor a range of ports; write 80 or 8000-8009, from 1 to 65535")]
    Ports(String),
    /// Targets with endpoints in common.
    #[error("the targets {0} and {1} have endpoints in common; leave one of the two out")]
    Targets(String, String),
    /// Sources with addresses in common.
    #[error("--source {0} and --source {1} have addresses in common; leave one of the two out")]
    Sources(String, String),
    /// Sources with different ports.
    #[error(
        "--source names the ports {} and {}, and all sources share one range; name it once",
        ports_text(.0),
        ports_text(.1)
    )]
    SourcePorts(Ports, Ports),
}

/// One `--source`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// Addresses of ours.
    pub addresses: Addresses,
    /// Ports, where they were written.
    pub ports: Option<Ports>,
}

/// Where connections come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// Addresses that are owned besides the ports' own; without any, those are used.
    pub addresses: Vec<Addresses>,
    /// Ports on each address.
    pub ports: Ports,
}

impl Default for Sources {
    fn default() -> Self {
        Sources { addresses: Vec::new(), ports: Ports::EPHEMERAL }
    }
}

/// Reads a TARGET: `ADDR:PORT`, `ADDR:PORT-PORT` or `PREFIX/LEN:PORT[-PORT]`. A prefix's network and broadcast
/// addresses are left out, up to /30.
///
/// # Errors
/// Not of that form, IPv6, a prefix length or port out of range, or addresses that no host has.
pub fn target(text: &str) -> Result<Target, ConfigError> {
    let form = ConfigError::Form { form: "ADDR:PORT or PREFIX/LEN:PORT-PORT", example: TARGET_EXAMPLE };
    let (range, written) = match text.rsplit_once(':') {
        Some((range, written)) => (range, Some(written)),
        None => (text, None),
    };
    // An IPv6 address without a port ends in a colon and a group, too.
    let whole = if range.contains(':') && !range.starts_with('[') { text } else { range };
    let addresses = addresses(whole, &form, TARGET_EXAMPLE)?;
    Ok(Target { addresses, ports: ports(written.ok_or(form)?)? })
}

/// Reads `--source`: `ADDR` or `PREFIX/LEN`, and perhaps `:PORT-PORT`.
///
/// # Errors
/// Not of that form, IPv6, a prefix length or port out of range, or addresses that no host has.
pub fn source(text: &str) -> Result<Source, ConfigError> {
    let form =
        ConfigError::Form { form: "ADDR, PREFIX/LEN or either with :PORT-PORT", example: SOURCE_EXAMPLE };
    match text.split_once(':') {
        Some((range, written)) if !written.contains(':') && !range.starts_with('[') => {
            let addresses = addresses(range, &form, SOURCE_EXAMPLE)?;
            Ok(Source { addresses, ports: Some(ports(written)?) })
        }
        _ => {
            // Only IPv6 has brackets, or several colons.
            let bare = text.split_once("]:").map_or(text, |(range, _)| range);
            Ok(Source { addresses: addresses(bare, &form, SOURCE_EXAMPLE)?, ports: None })
        }
    }
}

/// Checks targets against each other.
///
/// # Errors
/// There is none, or two have an endpoint in common.
pub fn targets(targets: Vec<Target>) -> Result<Vec<Target>, ConfigError> {
    if targets.is_empty() {
        return Err(RangeError::NoTarget.into());
    }
    for (n, one) in targets.iter().enumerate() {
        let shares = |other: &&Target| {
            overlap(&one.addresses, &other.addresses)
                && one.ports.first <= other.ports.last
                && other.ports.first <= one.ports.last
        };
        if let Some(other) = targets.iter().skip(n + 1).find(shares) {
            return Err(RangeError::Targets(target_text(one), target_text(other)).into());
        }
    }
    Ok(targets)
}

/// Joins what several `--source` say; ports that none of them names are 1024 to 65535.
///
/// # Errors
/// Two have an address in common, or different ports.
pub fn sources(sources: &[Source]) -> Result<Sources, ConfigError> {
    for (n, one) in sources.iter().enumerate() {
        let rest = sources.iter().skip(n + 1);
        if let Some(other) = rest.clone().find(|other| overlap(&one.addresses, &other.addresses)) {
            let (one, other) = (addresses_text(&one.addresses), addresses_text(&other.addresses));
            return Err(RangeError::Sources(one, other).into());
        }
    }
    let mut ports = sources.iter().filter_map(|source| source.ports);
    let first = ports.next();
    if let Some((first, other)) = first.and_then(|first| Some((first, ports.find(|other| *other != first)?)))
    {
        return Err(RangeError::SourcePorts(first, other).into());
    }
    Ok(Sources {
        addresses: sources.iter().map(|source| source.addresses).collect(),
        ports: first.unwrap_or(Ports::EPHEMERAL),
    })
}

/// Refuses targets that are addresses of ours.
///
/// # Errors
/// Names the first address that is both.
pub fn refuse_ourselves(targets: &[Target], ours: &[Addresses]) -> Result<(), ConfigError> {
    for target in targets {
        if let Some(own) = ours.iter().find(|own| overlap(own, &target.addresses)) {
            let first = own.first.max(target.addresses.first);
            return Err(ConfigError::Ourselves { option: "the target", address: IpAddr::V4(first) });
        }
    }
    Ok(())
}

/// Refuses loopback addresses, which no device carries.
///
/// # Errors
/// Names the first.
pub fn refuse_loopback<'a>(ranges: impl Iterator<Item = &'a Addresses>) -> Result<(), ConfigError> {
    let loopback = ranges.map(|range| range.first).find(Ipv4Addr::is_loopback);
    loopback.map_or(Ok(()), host)
}

/// A range as it may be written: the first and the last address, or the only one.
pub fn addresses_text(addresses: &Addresses) -> String {
    match addresses.count {
        1 => addresses.first.to_string(),
        count => format!("{}-{}", addresses.first, addresses.get(count - 1)),
    }
}

/// Ports as they are written: `80`, `8000-8009`.
pub fn ports_text(ports: &Ports) -> String {
    if ports.first == ports.last {
        ports.first.to_string()
    } else {
        format!("{}-{}", ports.first, ports.last)
    }
}

/// A target for people: `198.18.0.2:80`, `198.18.1.1-198.18.1.254:8000-8009`.
pub fn target_text(target: &Target) -> String {
    format!("{}:{}", addresses_text(&target.addresses), ports_text(&target.ports))
}

fn overlap(one: &Addresses, other: &Addresses) -> bool {
    one.contains(other.first) || other.contains(one.first)
}

fn addresses(text: &str, form: &ConfigError, example: &'static str) -> Result<Addresses, ConfigError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address = ipv4(address, form.clone(), example)?;
    let prefix: u8 = prefix.unwrap_or("32").parse().map_err(|_| RangeError::Prefix)?;
    if !(8..=32).contains(&prefix) {
        return Err(RangeError::Prefix.into());
    }
    // All of a /8 or longer is of one kind.
    // Loopback is the kernel's, and whether it is asked is not known here.
    if !address.is_loopback() {
        host(address)?;
    }
    let network = u32::from(address) & mask(prefix);
    let (first, count) = match prefix {
        31.. => (network, 1 << (32 - prefix)),
        _ => (network + 1, (1u32 << (32 - prefix)) - 2),
    };
    Ok(Addresses { first: Ipv4Addr::from(first), count })
}

fn ports(text: &str) -> Result<Ports, ConfigError> {
    let wrong = || RangeError::Ports(text.to_owned());
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port != 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(wrong()),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = Ports { first: port(first)?, last: port(last)? };
    if ports.first > ports.last { Err(wrong().into()) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_is_an_address_or_a_prefix_with_ports() {
        let read = |text| target(text).map(|target| (target_text(&target), target.addresses.count));
        assert_eq!(read("198.18.0.2:80"), Ok(("198.18.0.2:80".into(), 1)));
        assert_eq!(read("198.18.0.2:8000-8009"), Ok(("198.18.0.2:8000-8009".into(), 1)));
        assert_eq!(read("198.18.1.0/24:80"), Ok(("198.18.1.1-198.18.1.254:80".into(), 254)));
        assert_eq!(read("198.18.1.77/30:1-65535"), Ok(("198.18.1.77-198.18.1.78:1-65535".into(), 2)));
        assert_eq!(read("198.18.1.0/31:80"), Ok(("198.18.1.0-198.18.1.1:80".into(), 2)));
        assert_eq!(read("198.18.1.9/32:80"), Ok(("198.18.1.9:80".into(), 1)));
        assert_eq!(read("10.0.0.0/8:80").unwrap().1, (1 << 24) - 2);
    }

    #[test]
    fn a_wrong_range_is_refused_with_its_cause() {
        for (text, part) in [
            ("", "not ADDR:PORT or PREFIX/LEN:PORT-PORT; write it like 198.18.0.2:80"),
            ("198.18.0.2", "not ADDR:PORT"),
            ("198.18.0.2:", "'' is neither a TCP port"),
            ("198.18.0.2:0", "'0' is neither a TCP port"),
            ("198.18.0.2:http", "write 80 or 8000-8009"),
            ("198.18.0.2:9-8", "'9-8' is neither"),
            ("198.18.0.2:+80", "'+80' is neither"),
            ("198.18.0.2:65536", "1 to 65535"),
            ("198.18.0.2/7:80", "8 to 32"),
            ("198.18.0.2/x:80", "8 to 32"),
            ("host:80", "not ADDR:PORT"),
            ("0.0.0.0:80", "this network"),
            ("224.0.0.1:80", "multicast"),
            ("[fd00::1]:80", "IPv6 is not served yet"),
            ("fd00::1", "IPv6 is not served yet"),
        ] {
            let error = target(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(source("fd00::/64").unwrap_err().to_string().contains("IPv6 is not served yet"));
        assert!(source("[fd00::1]:1-2").unwrap_err().to_string().contains("IPv6 is not served yet"));
        assert!(source("here").unwrap_err().to_string().contains("write it like 198.18.1.0/24"));
    }

    #[test]
    fn sources_share_one_range_of_ports() {
        let all = |texts: &[&str]| {
            let read: Vec<_> = texts.iter().map(|text| source(text).unwrap()).collect();
            sources(&read).map(|all| (all.addresses.len(), ports_text(&all.ports))).map_err(|e| e.to_string())
        };
        assert_eq!(all(&[]), Ok((0, "1024-65535".into())));
        assert_eq!(all(&["198.18.0.1"]), Ok((1, "1024-65535".into())));
        assert_eq!(all(&["198.18.0.1:5000-5999", "198.18.1.0/24"]), Ok((2, "5000-5999".into())));
        assert_eq!(all(&["198.18.0.1:5000", "198.18.0.2:5000"]), Ok((2, "5000".into())));
        let error = all(&["198.18.0.1:5000", "198.18.0.2:5001-5002"]).unwrap_err();
        assert!(error.contains("names the ports 5000 and 5001-5002"), "{error}");
        let error = all(&["198.18.0.0/24", "198.18.0.9"]).unwrap_err();
        assert!(error.contains("198.18.0.1-198.18.0.254 and --source 198.18.0.9 have addresses"), "{error}");
    }

    #[test]
    fn targets_are_apart_from_each_other_and_from_us() {
        let all = |texts: &[&str]| targets(texts.iter().map(|text| target(text).unwrap()).collect());
        assert_eq!(all(&["198.18.0.2:80", "198.18.0.2:81", "198.18.0.3:80"]).unwrap().len(), 3);
        assert!(all(&[]).unwrap_err().to_string().contains("no TARGET"));
        let error = all(&["198.18.0.0/24:80-90", "198.18.0.2:85"]).unwrap_err().to_string();
        assert!(error.contains("198.18.0.1-198.18.0.254:80-90 and 198.18.0.2:85 have endpoints"), "{error}");
        let target = target("198.18.0.0/24:80").unwrap();
        let error = refuse_ourselves(&[target], &[Addresses::one(Ipv4Addr::new(198, 18, 0, 7))]);
        assert!(error.unwrap_err().to_string().contains("198.18.0.7 is an address of ours"));
        assert_eq!(refuse_ourselves(&[target], &[Addresses::one(Ipv4Addr::new(198, 18, 1, 7))]), Ok(()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9a-f.:/-]{0,24}|.{0,16}") {
            let _ = (target(&text), source(&text));
        }
    }
}
