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
    Some(match () {
        () if fits_any(&config.allow, name) => 0,
        () if ip.is_loopback() => 2,
        () if leads_elsewhere(config, name, is_p2p) => 1,
        () => 0,
    })
}

fn fits_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether an interface is likely to lead to a container, a virtual machine or through a tunnel.
fn leads_elsewhere(config: &MdnsConfig, name: &str, is_p2p: bool) -> bool {
    is_p2p || fits_any(&config.deny, name)
}

const fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The addresses of the best interfaces.
fn best(config: &MdnsConfig, all: &[Interface]) -> HashSet<IpAddr> {
    let ranked = all
        .iter()
        .filter_map(|one| rank(config, &one.name, one.ip(), one.is_p2p()).map(|rank| (rank, one.ip())));
    let ranked: Vec<_> = ranked.collect();
    let Some(least) = ranked.iter().map(|(rank, _)| *rank).min() else { return HashSet::new() };
    ranked.into_iter().filter(|(rank, _)| *rank == least).map(|(_, ip)| ip).collect()
}

/// The addresses we listen on that others can use, the best first. When we were told to listen on loopback only,
/// those are the ones.
pub(crate) fn presentable(listening: &BTreeSet<Multiaddr>, config: &MdnsConfig) -> Vec<Multiaddr> {
    sorted(listening, config, &if_addrs::get_if_addrs().unwrap_or_default())
}

/// People copy the first address of a list: QUIC comes before TCP, then interfaces of this machine before
/// containers and tunnels that were allowed by name, then IPv4 before IPv6, which is longer.
fn sorted(listening: &BTreeSet<Multiaddr>, config: &MdnsConfig, all: &[Interface]) -> Vec<Multiaddr> {
    let socket = |addr: &Multiaddr| socket_address(addr).map(|(socket, transport)| (socket.ip(), transport));
    let only_loopback = listening.iter().all(|addr| socket(addr).is_some_and(|(ip, _)| ip.is_loopback()));
    let usable = best(config, all);
    let elsewhere =
        |ip| all.iter().any(|one| one.ip() == ip && leads_elsewhere(config, &one.name, one.is_p2p()));
    let mut found: Vec<_> = listening
        .iter()
        .filter_map(|addr| socket(addr).map(|(ip, transport)| (addr, ip, transport)))
        .filter(|(_, ip, _)| only_loopback || usable.contains(ip))
        .collect();
    found.sort_by_key(|&(_, ip, transport)| (transport == Transport::Tcp, elsewhere(ip), ip));
    found.into_iter().map(|(addr, ..)| addr.clone()).collect()
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
    fn the_first_address_is_quic_on_a_real_interface() {
        let config = MdnsConfig { allow: vec!["tun-home".to_owned()], ..MdnsConfig::default() };
        let all = [
            interface("tun-home", [10, 0, 0, 2]),
            interface("eth0", [192, 168, 1, 2]),
            interface("docker0", [172, 17, 0, 1]),
            interface("lo", [127, 0, 0, 1]),
        ];
        let listening = all.iter().flat_map(|one| {
            [Transport::Tcp, Transport::Quic].map(|transport| multiaddr(one.ip(), 7, transport))
        });
        let six = "/ip6/fd00::1/udp/7/quic-v1".parse().unwrap();
        let told = sorted(&listening.chain([six]).collect(), &config, &all);
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "/ip4/192.168.1.2/udp/7/quic-v1",
                "/ip4/10.0.0.2/udp/7/quic-v1",
                "/ip4/192.168.1.2/tcp/7",
                "/ip4/10.0.0.2/tcp/7",
            ]
        );
    }

    #[test]
    fn loopback_is_told_if_it_is_all_we_listen_on() {
        let lo = |transport| multiaddr([127, 0, 0, 1].into(), 7, transport);
        let both = BTreeSet::from([lo(Transport::Tcp), lo(Transport::Quic)]);
        let all = [interface("lo", [127, 0, 0, 1]), interface("eth0", [10, 0, 0, 2])];
        let told = sorted(&both, &MdnsConfig::default(), &all);
        assert_eq!(told, [lo(Transport::Quic), lo(Transport::Tcp)]);
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
