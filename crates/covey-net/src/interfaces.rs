//! Which of this machine's addresses are worth telling to others.
//!
//! Order of choice: interfaces that are allowed by name, or neither denied, point-to-point nor loopback;
//! where there are none, the denied ones; where there are none of those either, loopback. IPv6
//! link-local addresses are never told: libp2p can't dial them without a scope.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
};

use if_addrs::Interface;
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{config::MdnsConfig, events::Transport};

/// Whether `name` fits `pattern`; a `*` at the end stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// 0 is best; `None` is never used.
fn rank(config: &MdnsConfig, name: &str, ip: IpAddr, is_p2p: bool) -> Option<u8> {
    if ip.is_unspecified() || is_link_local_v6(ip) {
        return None;
    }
    let named = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
    Some(match () {
        () if named(&config.allow) => 0,
        () if ip.is_loopback() => 2,
        () if is_p2p || named(&config.deny) => 1,
        () => 0,
    })
}

const fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The addresses of the best interfaces there are, right now.
pub(crate) fn usable_addresses(config: &MdnsConfig) -> HashSet<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    best(config, &all)
}

fn best(config: &MdnsConfig, all: &[Interface]) -> HashSet<IpAddr> {
    let ranked = all
        .iter()
        .filter_map(|one| rank(config, &one.name, one.ip(), one.is_p2p()).map(|rank| (rank, one.ip())));
    let ranked: Vec<_> = ranked.collect();
    let Some(least) = ranked.iter().map(|(rank, _)| *rank).min() else { return HashSet::new() };
    ranked.into_iter().filter(|(rank, _)| *rank == least).map(|(_, ip)| ip).collect()
}

/// The addresses we listen on that others can use, sorted. When we were told to listen on loopback
/// only, those are the ones.
pub(crate) fn presentable(listening: &BTreeSet<Multiaddr>, config: &MdnsConfig) -> Vec<Multiaddr> {
    let ip = |addr: &Multiaddr| socket_address(addr).map(|(socket, _)| socket.ip());
    if listening.iter().all(|addr| ip(addr).is_some_and(|ip| ip.is_loopback())) {
        return listening.iter().cloned().collect();
    }
    let usable = usable_addresses(config);
    listening.iter().filter(|addr| ip(addr).is_some_and(|ip| usable.contains(&ip))).cloned().collect()
}

/// The socket and the transport behind an address of ours or of a peer; `None` for other kinds.
pub(crate) fn socket_address(addr: &Multiaddr) -> Option<(SocketAddr, Transport)> {
    let mut parts = addr.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Udp(port), Some(Protocol::QuicV1)) => Some((SocketAddr::new(ip, port), Transport::Quic)),
        (Protocol::Tcp(port), None | Some(Protocol::P2p(_))) => {
            Some((SocketAddr::new(ip, port), Transport::Tcp))
        }
        _ => None,
    }
}

/// The address of a socket.
pub(crate) fn multiaddr(ip: IpAddr, port: u16, transport: Transport) -> Multiaddr {
    let addr = Multiaddr::from(ip);
    match transport {
        Transport::Quic => addr.with(Protocol::Udp(port)).with(Protocol::QuicV1),
        Transport::Tcp => addr.with(Protocol::Tcp(port)),
    }
}

/// Whether an address that a peer told us can lead to it: not our own loopback, not a scope-less
/// link-local one.
pub(crate) fn is_dialable(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => !ip.is_loopback() && !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_loopback() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr};

    fn interface(name: &str, ip: [u8; 4]) -> Interface {
        let addr =
            Ifv4Addr { ip: ip.into(), netmask: [255, 255, 255, 0].into(), prefixlen: 24, broadcast: None };
        Interface {
            name: name.to_owned(),
            addr: IfAddr::V4(addr),
            index: Some(1),
            oper_status: IfOperStatus::Up,
            is_p2p: false,
        }
    }

    fn chosen(config: &MdnsConfig, all: &[(&str, [u8; 4])]) -> Vec<IpAddr> {
        let all: Vec<_> = all.iter().map(|(name, ip)| interface(name, *ip)).collect();
        let mut ips: Vec<_> = best(config, &all).into_iter().collect();
        ips.sort();
        ips
    }

    #[test]
    fn containers_and_tunnels_are_left_out_unless_there_is_nothing_else() {
        let config = MdnsConfig::default();
        let (lo, docker, lan) =
            (("lo", [127, 0, 0, 1]), ("docker0", [172, 17, 0, 1]), ("eth0", [10, 0, 0, 2]));
        assert_eq!(chosen(&config, &[lo, docker, lan]), [IpAddr::from(lan.1)]);
        assert_eq!(chosen(&config, &[lo, docker]), [IpAddr::from(docker.1)]);
        assert_eq!(chosen(&config, &[lo]), [IpAddr::from(lo.1)]);
        assert_eq!(chosen(&config, &[]), [] as [IpAddr; 0]);
    }

    #[test]
    fn an_allowed_name_wins_over_a_denied_one() {
        let config = MdnsConfig { allow: vec!["wg-home".to_owned()], ..MdnsConfig::default() };
        let (home, lan) = (("wg-home", [10, 9, 0, 1]), ("eth0", [10, 0, 0, 2]));
        assert_eq!(
            chosen(&config, &[home, lan, ("wg0", [10, 8, 0, 1])]),
            [IpAddr::from(lan.1), home.1.into()]
        );
    }

    #[test]
    fn addresses_read_back_as_sockets() {
        for transport in [Transport::Quic, Transport::Tcp] {
            let addr = multiaddr([10, 0, 0, 2].into(), 77, transport);
            assert_eq!(socket_address(&addr), Some((([10, 0, 0, 2], 77).into(), transport)));
        }
        assert_eq!(socket_address(&"/dns4/example.org/tcp/1".parse().unwrap()), None);
        assert!(!is_dialable(&"/ip6/fe80::1/tcp/1".parse().unwrap()));
    }
}
