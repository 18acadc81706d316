//! Whom to let in: how many connections in all, to one peer, to strangers, and how many handshakes.
//!
//! A libp2p behaviour of our own. The ready-made `libp2p-connection-limits` knows one limit for everybody, or
//! none for some, and never forgets a peer it has seen; peer ids cost nothing, so that strangers could fill
//! every place, and memory too. Here
//! - strangers hold at most [three quarters](strangers_share) of the connections, and a member who comes when all
//!   are taken gets the place of the stranger that has been there longest;
//! - before a handshake nobody is known by more than an IP address: addresses at which no member was met share
//!   three quarters of the handshakes under way, and each address has a number and a rate of its own.
//!
//! Members are whoever the node says it prefers. Our own dials have a limit of their own, so that a flood of
//! handshakes never keeps us from calling a member.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};
use thiserror::Error;
use tokio::time::Instant;

use crate::config::NetLimits;

/// One address (of IPv6: one network) may begin handshakes in a row, ...
const HANDSHAKE_BURST: u32 = 32;
/// ... and after that one each: a household or an office behind one address comes back within seconds, and a
/// flood costs us at most eight signatures a second for each address it has.
const HANDSHAKE_EVERY: Duration = Duration::from_millis(125);
/// Addresses whose rate is kept in mind. Past that a flood has so many addresses that a rate for each is no
/// help; the bounds on handshakes under way still hold.
const MAX_RATES: usize = 1024;
/// Addresses remembered as a member's, the newest ones.
const MAX_MEMBER_IPS: usize = 512;

/// What strangers may have of `all`: a quarter is kept for members.
const fn strangers_share(all: u32) -> usize {
    (all - all / 4) as usize
}

/// What one address may have of the handshakes under way: it takes four to fill what strangers may have.
const fn share_of_one_ip(all: u32) -> usize {
    all.div_ceil(4) as usize
}

/// Why a connection was refused.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("all {0} connections of this node are taken; try again when some have ended")]
    Full(u32),
    #[error("there are {0} connections to this peer already; use one of them")]
    PeerHasEnough(u32),
    #[error("strangers have all the {0} connections that this node keeps for them; try again later")]
    StrangersFull(usize),
    #[error("{0} handshakes are under way; try again in some seconds")]
    TooManyHandshakes(usize),
    #[error("{0} began too many handshakes; try again in some seconds")]
    IpTooFast(IpAddr),
}

/// Counts connections and handshakes, and refuses those that are too many.
pub(crate) struct Behaviour {
    limits: NetLimits,
    preferred: HashSet<PeerId>,
    /// Oldest first.
    established: BTreeMap<ConnectionId, PeerId>,
    incoming: HashMap<ConnectionId, Option<IpAddr>>,
    outgoing: HashSet<ConnectionId>,
    /// Where members were met, newest last.
    member_ips: VecDeque<IpAddr>,
    /// When all the handshakes that an address has begun would have been due at its rate.
    rates: HashMap<IpAddr, Instant>,
    evicted: VecDeque<(PeerId, ConnectionId)>,
}

impl Behaviour {
    pub(crate) fn new(limits: NetLimits) -> Self {
        Self {
            limits,
            preferred: HashSet::new(),
            established: BTreeMap::new(),
            incoming: HashMap::new(),
            outgoing: HashSet::new(),
            member_ips: VecDeque::new(),
            rates: HashMap::new(),
            evicted: VecDeque::new(),
        }
    }

    /// From now on these are the members, and nobody else.
    pub(crate) fn prefer(&mut self, peers: HashSet<PeerId>) {
        self.preferred = peers;
    }

    fn is_member_ip(&self, ip: Option<IpAddr>) -> bool {
        ip.is_some_and(|ip| self.member_ips.contains(&ip))
    }

    fn met(&mut self, peer: &PeerId, address: &Multiaddr) {
        let Some(ip) = ip_of(address).filter(|_| self.preferred.contains(peer)) else { return };
        self.member_ips.retain(|known| *known != ip);
        self.member_ips.push_back(ip);
        if self.member_ips.len() > MAX_MEMBER_IPS {
            self.member_ips.pop_front();
        }
    }

    /// Somebody begins a handshake.
    fn knock(&mut self, id: ConnectionId, ip: Option<IpAddr>, now: Instant) -> Result<(), Refused> {
        let all = self.limits.pending_incoming;
        let kept = if self.is_member_ip(ip) {
            (self.incoming.len(), all as usize)
        } else {
            let strange = self.incoming.values().filter(|ip| !self.is_member_ip(**ip)).count();
            (strange, strangers_share(all))
        };
        if kept.0 >= kept.1 || self.incoming.len() >= all as usize {
            return Err(Refused::TooManyHandshakes(self.incoming.len()));
        }
        // Whoever is on this machine has other ways to keep it busy, and tests run many nodes here.
        if let Some(ip) = ip.filter(|ip| !ip.is_loopback()) {
            let from_ip = self.incoming.values().filter(|other| **other == Some(ip)).count();
            if from_ip >= share_of_one_ip(all) || !self.is_slow_enough(ip, now) {
                return Err(Refused::IpTooFast(ip));
            }
        }
        self.incoming.insert(id, ip);
        Ok(())
    }

    fn is_slow_enough(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.rates.len() >= MAX_RATES {
            self.rates.retain(|_, due| *due > now);
            if self.rates.len() >= MAX_RATES {
                return true;
            }
        }
        // A member's address has a rate of its own, whoever its neighbours are.
        let key = if self.member_ips.contains(&ip) { ip } else { network_of(ip) };
        let due = self.rates.entry(key).or_insert(now);
        let next = (*due).max(now) + HANDSHAKE_EVERY;
        let ok = next <= now + HANDSHAKE_EVERY * HANDSHAKE_BURST;
        if ok {
            *due = next;
        }
        ok
    }

    /// Somebody has proved who they are. A member may take the place of a stranger.
    fn admit(&mut self, peer: &PeerId) -> Result<(), Refused> {
        let to_peer = self.established.values().filter(|other| *other == peer).count();
        if to_peer >= self.limits.per_peer as usize {
            return Err(Refused::PeerHasEnough(self.limits.per_peer));
        }
        let all = self.limits.established;
        let is_full = self.established.len() >= all as usize;
        let mut strangers = self.established.iter().filter(|(_, peer)| !self.preferred.contains(*peer));
        if self.preferred.contains(peer) {
            if !is_full {
                return Ok(());
            }
            let (&id, &stranger) = strangers.next().ok_or(Refused::Full(all))?;
            self.established.remove(&id);
            self.evicted.push_back((stranger, id));
            return Ok(());
        }
        if is_full {
            return Err(Refused::Full(all));
        }
        let share = strangers_share(all);
        if strangers.count() >= share { Err(Refused::StrangersFull(share)) } else { Ok(()) }
    }

    fn ended(&mut self, id: ConnectionId) {
        self.established.remove(&id);
        self.incoming.remove(&id);
        self.outgoing.remove(&id);
    }
}

/// What has a rate: an IPv4 address; of IPv6 the network (/64), in which whoever has one address has them all.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        // A socket for both versions shows IPv4 addresses this way.
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.knock(id, ip_of(remote), Instant::now()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.incoming.remove(&id);
        self.admit(&peer).map(|()| dummy::ConnectionHandler).map_err(ConnectionDenied::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _peer: Option<PeerId>,
        _addresses: &[Multiaddr],
        _endpoint: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.outgoing.len() >= self.limits.pending_outgoing as usize {
            return Err(ConnectionDenied::new(Refused::TooManyHandshakes(self.outgoing.len())));
        }
        self.outgoing.insert(id);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _endpoint: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.outgoing.remove(&id);
        self.admit(&peer).map(|()| dummy::ConnectionHandler).map_err(ConnectionDenied::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                self.established.insert(new.connection_id, new.peer_id);
                self.met(&new.peer_id, new.endpoint.get_remote_address());
            }
            FromSwarm::ConnectionClosed(old) => {
                // Who came as a stranger may have become a member meanwhile.
                self.met(&old.peer_id, old.endpoint.get_remote_address());
                self.ended(old.connection_id);
            }
            FromSwarm::DialFailure(failed) => self.ended(failed.connection_id),
            FromSwarm::ListenFailure(failed) => self.ended(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        let Some((peer_id, id)) = self.evicted.pop_front() else { return Poll::Pending };
        tracing::debug!(peer = %peer_id, "a stranger makes room for a member");
        Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: NetLimits =
        NetLimits { per_peer: 2, established: 8, pending_incoming: 16, pending_outgoing: 2 };

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    /// A handshake that goes well.
    fn come(behaviour: &mut Behaviour, n: usize, peer: PeerId) -> Result<(), Refused> {
        behaviour.admit(&peer)?;
        behaviour.established.insert(id(n), peer);
        Ok(())
    }

    #[test]
    fn strangers_fill_their_share_and_members_still_get_in() {
        let mut behaviour = Behaviour::new(LIMITS);
        let members: Vec<_> = (0..9).map(|_| PeerId::random()).collect();
        behaviour.prefer(members.iter().copied().collect());
        for n in 0..6 {
            assert_eq!(come(&mut behaviour, n, PeerId::random()), Ok(()));
        }
        assert_eq!(come(&mut behaviour, 6, PeerId::random()), Err(Refused::StrangersFull(6)));
        for (n, member) in members[..8].iter().enumerate() {
            assert_eq!(come(&mut behaviour, 10 + n, *member), Ok(()));
        }
        // Two found room, and six took the places of strangers, those who had been there longest first.
        let evicted: Vec<_> = behaviour.evicted.iter().map(|(_, id)| *id).collect();
        assert_eq!(evicted, (0..6).map(id).collect::<Vec<_>>());
        assert_eq!(come(&mut behaviour, 30, members[8]), Err(Refused::Full(8)));
        assert_eq!(come(&mut behaviour, 31, PeerId::random()), Err(Refused::Full(8)));
        behaviour.ended(id(10));
        assert_eq!(come(&mut behaviour, 32, members[8]), Ok(()));
    }

    #[test]
    fn a_peer_has_so_many_connections_and_no_more() {
        let (mut behaviour, peer) = (Behaviour::new(LIMITS), PeerId::random());
        behaviour.prefer([peer].into());
        assert_eq!(come(&mut behaviour, 1, peer), Ok(()));
        assert_eq!(come(&mut behaviour, 2, peer), Ok(()));
        assert_eq!(come(&mut behaviour, 3, peer), Err(Refused::PeerHasEnough(2)));
    }

    #[test]
    fn a_flood_of_handshakes_leaves_room_where_members_were_met() {
        let (mut behaviour, member, now) = (Behaviour::new(LIMITS), PeerId::random(), Instant::now());
        behaviour.prefer([member].into());
        behaviour.met(&member, &"/ip4/10.0.0.99/udp/1/quic-v1".parse().unwrap());
        behaviour.met(&PeerId::random(), &"/ip4/10.0.0.98/udp/1/quic-v1".parse().unwrap());
        for n in 0..12u8 {
            assert_eq!(behaviour.knock(id(n.into()), Some(ip(n)), now), Ok(()));
        }
        assert_eq!(behaviour.knock(id(12), Some(ip(98)), now), Err(Refused::TooManyHandshakes(12)));
        for n in 13..17 {
            assert_eq!(behaviour.knock(id(n), Some(ip(99)), now), Ok(()));
        }
        assert_eq!(behaviour.knock(id(17), Some(ip(99)), now), Err(Refused::TooManyHandshakes(16)));
        behaviour.ended(id(0));
        assert_eq!(behaviour.knock(id(18), Some(ip(98)), now), Ok(()));
    }

    #[test]
    fn one_address_neither_takes_all_handshakes_nor_begins_them_without_end() {
        let (mut behaviour, start) = (Behaviour::new(LIMITS), Instant::now());
        for n in 0..4 {
            assert_eq!(behaviour.knock(id(n), Some(ip(1)), start), Ok(()));
        }
        assert_eq!(behaviour.knock(id(4), Some(ip(1)), start), Err(Refused::IpTooFast(ip(1))));
        assert_eq!(behaviour.knock(id(5), Some(ip(2)), start), Ok(()));
        (0..6).for_each(|n| behaviour.ended(id(n)));
        let mut begun = 4;
        while behaviour.knock(id(6), Some(ip(1)), start).is_ok() {
            behaviour.ended(id(6));
            begun += 1;
        }
        assert_eq!(begun, HANDSHAKE_BURST);
        assert_eq!(behaviour.knock(id(7), Some(ip(1)), start + HANDSHAKE_EVERY), Ok(()));
        assert!(behaviour.knock(id(8), Some(ip(1)), start + HANDSHAKE_EVERY).is_err());
    }

    #[test]
    fn of_an_ipv6_network_all_addresses_share_one_rate_but_a_members() {
        let (mut behaviour, member, now) = (Behaviour::new(LIMITS), PeerId::random(), Instant::now());
        behaviour.prefer([member].into());
        behaviour.met(&member, &"/ip6/fd77::99/udp/1/quic-v1".parse().unwrap());
        let knock = |behaviour: &mut Behaviour, ip: String| {
            let known = behaviour.knock(id(1), Some(ip.parse().unwrap()), now);
            behaviour.ended(id(1));
            known
        };
        for n in 0..HANDSHAKE_BURST {
            assert_eq!(knock(&mut behaviour, format!("fd77::1:{n:x}")), Ok(()));
        }
        assert!(knock(&mut behaviour, "fd77::2:1".into()).is_err());
        assert_eq!(knock(&mut behaviour, "fd77:0:0:1::1".into()), Ok(()), "another network");
        assert_eq!(knock(&mut behaviour, "fd77::99".into()), Ok(()), "a member is met there");
    }

    #[test]
    fn addresses_without_number_take_no_memory_without_bound() {
        let (mut behaviour, start) = (Behaviour::new(LIMITS), Instant::now());
        for n in 0..5000u32 {
            let from = IpAddr::from(n.to_be_bytes());
            let _ = behaviour.knock(id(n as usize), Some(from), start);
            behaviour.ended(id(n as usize));
        }
        assert_eq!(behaviour.rates.len(), MAX_RATES);
        let later = start + HANDSHAKE_EVERY;
        assert_eq!(behaviour.knock(id(1), Some(ip(1)), later), Ok(()));
        assert_eq!(behaviour.rates.len(), 1);
    }
}
