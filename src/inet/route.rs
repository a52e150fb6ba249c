//! Where a packet goes next: to the destination itself in a subnet of ours, else to the gateway.

use std::net::IpAddr;

use thiserror::Error;

use super::locals::Locals;

/// Why a gateway cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RouteError {
    /// No subnet contains it.
    #[error("the gateway {0} is in no subnet of ours; give an --addr with a prefix that contains it")]
    NotOnLink(IpAddr),
    /// It is one of our own addresses.
    #[error("the gateway {0} is our own address; give the router's")]
    OurOwn(IpAddr),
}

/// The routes of a shard: the subnets of its addresses, and at most one gateway.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    gateway: Option<(IpAddr, u8)>,
}

impl Routes {
    /// Routes with a gateway in one of the subnets.
    ///
    /// # Errors
    /// The gateway is not on a link of ours.
    pub fn with_gateway(gateway: IpAddr, locals: &Locals) -> Result<Self, RouteError> {
        if is_ours(gateway, locals) {
            return Err(RouteError::OurOwn(gateway));
        }
        let local = locals.subnets().find(|local| local.is_on_link(gateway));
        let local = local.ok_or(RouteError::NotOnLink(gateway))?;
        Ok(Routes { gateway: Some((gateway, local.interface)) })
    }

    /// The next hop towards a destination, and the interface that leads to it.
    pub fn first_hop(&self, locals: &Locals, destination: IpAddr) -> Option<(u8, IpAddr)> {
        let on_link = locals.subnets().find(|local| local.is_on_link(destination));
        let direct = on_link.map(|local| (local.interface, destination));
        direct.or(self.gateway.map(|(gateway, interface)| (interface, gateway)))
    }

    /// The next hop for a packet that leaves through `interface`.
    #[inline]
    pub fn next_hop(&self, locals: &Locals, interface: u8, destination: IpAddr) -> Option<IpAddr> {
        if matches!(destination, IpAddr::V4(v4) if locals.is_on_link(interface, v4.into())) {
            return Some(destination);
        }
        self.gateway.filter(|(_, at)| *at == interface).map(|(gateway, _)| gateway)
    }
}

fn is_ours(addr: IpAddr, locals: &Locals) -> bool {
    matches!(addr, IpAddr::V4(v4) if locals.find_v4(v4.octets()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_hop_is_on_link_or_the_gateway() {
        let mut locals = Locals::default();
        locals.add(ip("198.18.0.1"), 24, 0).unwrap();
        locals.add(ip("198.18.1.1"), 24, 1).unwrap();
        let routes = Routes::with_gateway(ip("198.18.0.254"), &locals).unwrap();
        assert_eq!(routes.next_hop(&locals, 0, ip("198.18.0.7")), Some(ip("198.18.0.7")));
        assert_eq!(routes.next_hop(&locals, 0, ip("198.19.9.9")), Some(ip("198.18.0.254")));
        assert_eq!(routes.next_hop(&locals, 1, ip("198.19.9.9")), None);
        assert_eq!(routes.first_hop(&locals, ip("198.18.1.9")), Some((1, ip("198.18.1.9"))));
        assert_eq!(routes.first_hop(&locals, ip("198.19.9.9")), Some((0, ip("198.18.0.254"))));
        assert_eq!(Routes::default().first_hop(&locals, ip("198.19.9.9")), None);
        assert_eq!(Routes::default().next_hop(&locals, 0, ip("198.19.9.9")), None);
        let far = Routes::with_gateway(ip("198.19.0.1"), &locals).unwrap_err();
        assert!(far.to_string().contains("--addr"), "{far}");
        assert!(Routes::with_gateway(ip("198.18.1.1"), &locals).is_err());
    }
}
