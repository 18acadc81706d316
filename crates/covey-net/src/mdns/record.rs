//! What a node says about itself on the LAN, and what is read from what others say.

use std::{collections::HashSet, net::IpAddr};

use covey_types::DeviceId;
use libp2p::Multiaddr;
use mdns_sd::{ResolvedService, ServiceInfo};

use super::SERVICE;
use crate::{config::MAX_ADDRESSES, events::Transport, interfaces::multiaddr};

/// Who is there, as an answer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) device: DeviceId,
    pub(crate) addrs: Vec<Multiaddr>,
    pub(crate) generation: u64,
    /// The number of the announcement, which counts up: a new one is a sign of life. 0 when it has none.
    pub(crate) number: u64,
    pub(crate) leaving: bool,
    pub(crate) fullname: String,
}

impl Found {
    /// Reads what an instance says; `None` if it isn't one we understand.
    pub(crate) fn new<'a>(
        fullname: &str,
        udp_port: u16,
        ips: &HashSet<IpAddr>,
        txt: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let device = txt("id")?.parse().ok()?;
        let tcp_port: Option<u16> = txt("t").and_then(|port| port.parse().ok()).filter(|&port| port != 0);
        let mut ips: Vec<_> = ips.iter().copied().filter(|ip| !is_scoped(*ip)).collect();
        ips.sort();
        let quic = (udp_port != 0).then_some((udp_port, Transport::Quic));
        let tcp = tcp_port.map(|port| (port, Transport::Tcp));
        let ports = [quic, tcp].into_iter().flatten();
        let addrs =
            ports.flat_map(|(port, transport)| ips.iter().map(move |&ip| multiaddr(ip, port, transport)));
        Some(Self {
            device,
            addrs: addrs.take(MAX_ADDRESSES).collect(),
            generation: txt("g").and_then(|g| g.parse().ok()).unwrap_or(0),
            number: txt("n").and_then(|n| n.parse().ok()).unwrap_or(0),
            leaving: txt("bye").is_some(),
            fullname: fullname.to_owned(),
        })
    }

    pub(crate) fn from_service(service: &ResolvedService) -> Option<Self> {
        let ips = service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
        Self::new(service.get_fullname(), service.get_port(), &ips, |key| service.get_property_val_str(key))
    }
}

const fn is_scoped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// What we say about ourselves.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) device: DeviceId,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: Option<u16>,
    pub(crate) generation: u64,
    /// Counts up with each regular announcement, so that those who hear it see that it is a new one.
    pub(crate) number: u64,
    /// The addresses whose interfaces take part.
    pub(crate) ips: HashSet<IpAddr>,
}

impl Announcement {
    pub(crate) fn service(&self, leaving: bool) -> Result<ServiceInfo, mdns_sd::Error> {
        let id = self.device.to_string();
        let mut txt = vec![("v", "1".to_owned()), ("id", id.clone()), ("g", self.generation.to_string())];
        txt.push(("n", self.number.to_string()));
        txt.extend(self.tcp_port.map(|port| ("t", port.to_string())));
        txt.extend(leaving.then(|| ("bye", "1".to_owned())));
        let host = format!("covey-{}.local.", id[id.len() - 16..].to_ascii_lowercase());
        let info = ServiceInfo::new(SERVICE, &id, &host, "", self.udp_port, &txt[..])?;
        let mut info = info.enable_addr_auto();
        info.set_requires_probe(false);
        Ok(info)
    }
}
