//! Which port has which addresses, once it is known which ports there are. Pure: ports are names here.

use std::net::{IpAddr, Ipv4Addr};

use super::ConfigError;
use super::address::{InterfaceAddr, inside_subnet, mask};

/// A port as EAL names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortName {
    /// The port's index.
    pub index: u16,
    /// The device's name, such as `0000:01:00.0` or `net_tap0`.
    pub name: String,
}

/// Addresses with their prefix lengths, one list a port, in the order of the ports.
pub type Assigned = Vec<Vec<(IpAddr, u8)>>;

/// Gives every port its addresses. The n-th address belongs to the n-th port, both counted from 0, unless it
/// names its port; a port that got none has 198.18.n.1/24, n being its index (198.19.(n-256).1 from 256 on).
///
/// # Errors
/// More addresses than ports, an unknown port, an address given twice, two ports in one subnet, or a port
/// whose index is beyond the default addresses (512 and more).
pub fn assign(addresses: &[InterfaceAddr], ports: &[PortName]) -> Result<Assigned, ConfigError> {
    let mut assigned: Assigned = vec![Vec::new(); ports.len()];
    for (n, address) in addresses.iter().enumerate() {
        let place = match &address.port {
            Some(name) => find(ports, name).ok_or_else(|| unknown(address, name, ports))?,
            None => n,
        };
        let Some(port) = assigned.get_mut(place) else {
            let (addresses, ports) = (addresses.len(), ports.len());
            return Err(ConfigError::TooManyAddresses { addresses, ports, address: address.address });
        };
        port.push((address.address, address.prefix));
    }
    for (list, port) in assigned.iter_mut().zip(ports) {
        if list.is_empty() {
            list.push(default_address(port.index)?);
        }
    }
    refuse_repeated(assigned.iter().flatten().map(|(address, _)| *address))?;
    refuse_overlap(&assigned, ports)?;
    Ok(assigned)
}

/// The place of the port in whose subnet `address` lies. `option` is the option that named the address.
///
/// # Errors
/// The address is one of ours, lies in no port's subnet, or is that subnet's network or broadcast address.
pub fn on_link(assigned: &Assigned, address: IpAddr, option: &'static str) -> Result<usize, ConfigError> {
    if assigned.iter().flatten().any(|(own, _)| *own == address) {
        return Err(ConfigError::Ourselves { option, address });
    }
    for (place, list) in assigned.iter().enumerate() {
        if let Some((_, prefix)) = list.iter().find(|own| overlap(**own, (address, 32))) {
            inside_subnet(address, *prefix)?;
            return Ok(place);
        }
    }
    let subnets: Vec<String> = assigned.iter().flatten().map(|own| text(*own)).collect();
    Err(ConfigError::OffLink { option, address, subnets: subnets.join(", ") })
}

/// Refuses an address that occurs twice.
///
/// # Errors
/// Names the first address that does.
pub(super) fn refuse_repeated(addresses: impl Iterator<Item = IpAddr>) -> Result<(), ConfigError> {
    let mut seen: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if seen.contains(&address) {
            return Err(ConfigError::AddressTwice(address));
        }
        seen.push(address);
    }
    Ok(())
}

fn find(ports: &[PortName], name: &str) -> Option<usize> {
    let index: Option<u16> = name.parse().ok();
    ports.iter().position(|port| Some(port.index) == index || port.name == name)
}

fn unknown(address: &InterfaceAddr, name: &str, ports: &[PortName]) -> ConfigError {
    let names: Vec<String> = ports.iter().map(|port| format!("{} ({})", port.index, port.name)).collect();
    let known = if names.is_empty() { "no ports at all".to_owned() } else { names.join(", ") };
    ConfigError::UnknownPort { address: address.address, port: name.to_owned(), known }
}

/// RFC 2544 keeps 198.18.0.0/15 for tests of devices: 512 subnets of /24.
fn default_address(index: u16) -> Result<(IpAddr, u8), ConfigError> {
    let [high, low] = index.to_be_bytes();
    match high {
        0 | 1 => Ok((IpAddr::V4(Ipv4Addr::new(198, 18 + high, low, 1)), 24)),
        _ => Err(ConfigError::NoDefault(index)),
    }
}

fn refuse_overlap(assigned: &Assigned, ports: &[PortName]) -> Result<(), ConfigError> {
    for (n, (list, port)) in assigned.iter().zip(ports).enumerate() {
        for (other_list, other_port) in assigned.iter().zip(ports).skip(n + 1) {
            let pairs = list.iter().flat_map(|first| other_list.iter().map(move |second| (*first, *second)));
            if let Some((first, second)) = pairs.into_iter().find(|(first, second)| overlap(*first, *second))
            {
                return Err(ConfigError::Overlap {
                    first: text(first),
                    first_port: port.index,
                    second: text(second),
                    second_port: other_port.index,
                });
            }
        }
    }
    Ok(())
}

/// True when one of the two subnets contains the other.
fn overlap(first: (IpAddr, u8), second: (IpAddr, u8)) -> bool {
    match (first.0, second.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)) & mask(first.1.min(second.1)) == 0,
        _ => false,
    }
}

fn text((address, prefix): (IpAddr, u8)) -> String {
    format!("{address}/{prefix}")
}

#[cfg(test)]
mod tests {
    use super::super::address::interface;
    use super::*;

    fn ports(count: u16) -> Vec<PortName> {
        (0..count).map(|index| PortName { index, name: format!("net_tap{index}") }).collect()
    }

    #[track_caller]
    fn given(addresses: &[&str], count: u16) -> Result<Vec<String>, String> {
        let addresses: Vec<_> = addresses.iter().map(|text| interface(text).unwrap()).collect();
        let assigned = assign(&addresses, &ports(count)).map_err(|error| error.to_string())?;
        Ok(assigned
            .iter()
            .map(|list| list.iter().map(|own| text(*own)).collect::<Vec<_>>().join(" "))
            .collect())
    }

    #[test]
    fn ports_without_an_address_get_the_default() {
        assert_eq!(given(&[], 2).unwrap(), ["198.18.0.1/24", "198.18.1.1/24"]);
        assert_eq!(given(&[], 0).unwrap(), [""; 0]);
        assert_eq!(given(&["10.0.0.1/24@1"], 2).unwrap(), ["198.18.0.1/24", "10.0.0.1/24"]);
        let far = [PortName { index: 257, name: "x".into() }];
        assert_eq!(text(assign(&[], &far).unwrap()[0][0]), "198.19.1.1/24");
        let beyond = [PortName { index: 512, name: "x".into() }];
        assert_eq!(assign(&[], &beyond), Err(ConfigError::NoDefault(512)));
    }

    #[test]
    fn the_nth_address_is_the_nth_port_s_unless_it_names_one() {
        assert_eq!(given(&["10.0.0.1/24", "10.0.1.1/24"], 2).unwrap(), ["10.0.0.1/24", "10.0.1.1/24"]);
        assert_eq!(
            given(&["10.0.1.1/24@net_tap1", "10.0.1.2/24", "10.0.0.1/24@0"], 2).unwrap(),
            ["10.0.0.1/24", "10.0.1.1/24 10.0.1.2/24"]
        );
    }

    #[test]
    fn a_wrong_assignment_is_refused_with_its_cause() {
        for (addresses, part) in [
            (&["10.0.0.1/24", "10.0.1.1/24", "10.0.2.1/24"][..], "3 addresses for 2 port(s)"),
            (&["10.0.0.1/24@7"], "there are 0 (net_tap0), 1 (net_tap1)"),
            (&["10.0.0.1/24@net_tap"], "names a port that is not there"),
            (&["10.0.0.1/24", "10.0.0.1/24"], "given to two ports or twice"),
            (
                &["10.0.0.1/24", "10.0.0.2/24"],
                "10.0.0.1/24 on port 0 and 10.0.0.2/24 on port 1 lie in one subnet",
            ),
            (&["10.0.0.1/8", "10.9.0.2/24"], "lie in one subnet"),
            (&["198.18.1.7/24"], "198.18.1.1/24 on port 1"),
        ] {
            let error = given(addresses, 2).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(given(&["10.0.0.1/24@0"], 0).unwrap_err().contains("no ports at all"));
    }

    #[test]
    fn a_gateway_must_lie_beside_an_address_of_ours() {
        let assigned = assign(&[], &ports(2)).unwrap();
        let at = |text: &str| on_link(&assigned, text.parse().unwrap(), "--gateway");
        assert_eq!(at("198.18.1.254"), Ok(1));
        assert!(matches!(at("198.18.0.1"), Err(ConfigError::Ourselves { .. })));
        let error = at("10.0.0.1").unwrap_err().to_string();
        assert!(
            error.contains("--gateway 10.0.0.1 lies in no port's subnet (198.18.0.1/24, 198.18.1.1/24)"),
            "{error}"
        );
        assert!(at("198.18.1.255").unwrap_err().to_string().contains("broadcast address"));
        assert!(at("fd00::1").is_err());
    }
}
