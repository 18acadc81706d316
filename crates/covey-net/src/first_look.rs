//! The first look around: one-shot multicast DNS queries, answered at once.
//!
//! A responder may multicast a record only once a second on an interface (RFC 6762 §6), so a node that
//! comes up just after another one announced itself, or answered a third one, would wait up to a second
//! for its first answer. A query from any other port than 5353 is a one-shot query (§5.1, §6.7):
//! its answer comes by unicast, without that limit and without the random delay of shared answers. So a
//! node that comes up asks this way on each of its interfaces, three times in case of loss, beside the
//! continuous browsing of [`mdns`](crate::mdns).

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, Record, RecordType},
};
use tokio::{net::UdpSocket, sync::mpsc, time::Instant};

use crate::mdns::{Found, PORT, SERVICE};

/// When the question is asked, from the start of the look. Twice more, since multicast over Wi-Fi is
/// lossy; the continuous browsing asks again at about 1 s.
const ASK_AT: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];
/// How long answers are awaited.
const LISTEN_FOR: Duration = Duration::from_secs(1);
/// A message of multicast DNS is at most this long (RFC 6762 §17).
const MAX_MESSAGE: usize = 9000;
/// Instances read from one answer: a responder answers for itself, a proxy for a few.
const MAX_INSTANCES: usize = 32;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Looks around from the interface with this address, and reports who answers.
pub(crate) async fn look(from: IpAddr, found: mpsc::Sender<Found>) -> io::Result<()> {
    let (socket, group) = ask_from(from)?;
    let query = question().map_err(io::Error::other)?;
    let start = Instant::now();
    let mut times = ASK_AT.iter();
    let mut next = times.next();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let wake = start + *next.unwrap_or(&LISTEN_FOR);
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (size, _) = received?;
                for one in answers(&buffer[..size]) {
                    if found.send(one).await.is_err() {
                        return Ok(());
                    }
                }
            }
            () = tokio::time::sleep_until(wake) => {
                if next.is_none() {
                    return Ok(());
                }
                socket.send_to(&query, group).await?;
                next = times.next();
            }
        }
    }
}

fn ask_from(ip: IpAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    use socket2::{Domain, Protocol, Socket, Type};
    let any: SocketAddr = match ip {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = Socket::new(Domain::for_address(any), Type::DGRAM, Some(Protocol::UDP))?;
    let group = match ip {
        IpAddr::V4(v4) => {
            socket.set_multicast_if_v4(&v4)?;
            socket.set_multicast_ttl_v4(255)?;
            (GROUP_V4, PORT).into()
        }
        IpAddr::V6(_) => {
            let all = if_addrs::get_if_addrs()?;
            let index = all.iter().find(|one| one.ip() == ip).and_then(|one| one.index).unwrap_or(0);
            socket.set_only_v6(true)?;
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(255)?;
            SocketAddrV6::new(GROUP_V6, PORT, 0, index).into()
        }
    };
    socket.set_nonblocking(true)?;
    socket.bind(&any.into())?;
    Ok((UdpSocket::from_std(socket.into())?, group))
}

fn question() -> Result<Vec<u8>, hickory_proto::ProtoError> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(SERVICE)?, RecordType::PTR));
    message.to_vec()
}

/// What one answer says about the instances of our service. Anything else in it is passed over, and so
/// is an answer that can't be read.
pub(crate) fn answers(bytes: &[u8]) -> Vec<Found> {
    let Ok(message) = Message::from_vec(bytes) else { return Vec::new() };
    let records: Vec<&Record> = message.answers.iter().chain(&message.additionals).collect();
    let Ok(service) = Name::from_ascii(SERVICE) else { return Vec::new() };
    let instances = records.iter().filter_map(|record| match &record.data {
        RData::PTR(instance) if record.name == service && record.ttl > 0 => Some(&instance.0),
        _ => None,
    });
    instances.take(MAX_INSTANCES).filter_map(|instance| resolve(instance, &records)).collect()
}

fn resolve(instance: &Name, records: &[&Record]) -> Option<Found> {
    let own = || records.iter().filter(|record| record.name == *instance);
    let (host, udp_port) = own().find_map(|record| match &record.data {
        RData::SRV(srv) => Some((&srv.target, srv.port)),
        _ => None,
    })?;
    let txt: HashMap<String, String> = own().find_map(|record| match &record.data {
        RData::TXT(txt) => Some(txt.txt_data.iter().filter_map(|pair| key_value(pair)).collect()),
        _ => None,
    })?;
    let ips: HashSet<IpAddr> = records
        .iter()
        .filter(|record| record.name == *host)
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        })
        .collect();
    Found::new(&instance.to_string(), udp_port, &ips, |key| txt.get(key).map(String::as_str))
}

fn key_value(pair: &[u8]) -> Option<(String, String)> {
    let (key, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
    Some((key.to_ascii_lowercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, PTR, SRV, TXT};
    use proptest::prelude::*;

    use super::*;
    use covey_types::DeviceId;

    fn answer(device: DeviceId) -> Vec<u8> {
        let service = Name::from_ascii(SERVICE).unwrap();
        let instance = Name::from_ascii(format!("{device}.{SERVICE}")).unwrap();
        let host = Name::from_ascii("covey-x.local.").unwrap();
        let txt = vec!["v=1".to_owned(), format!("id={device}"), "t=77".to_owned(), "g=5".to_owned()];
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        message.answers.push(Record::from_rdata(service, 10, RData::PTR(PTR(instance.clone()))));
        message.additionals.push(Record::from_rdata(
            instance.clone(),
            10,
            RData::SRV(SRV::new(0, 0, 99, host.clone())),
        ));
        message.additionals.push(Record::from_rdata(instance, 10, RData::TXT(TXT::new(txt))));
        message.additionals.push(Record::from_rdata(host, 10, RData::A(A([10, 0, 0, 2].into()))));
        message.to_vec().unwrap()
    }

    #[test]
    fn an_answer_tells_the_device_its_addresses_and_its_generation() {
        let device = DeviceId([7; 32]);
        let found = answers(&answer(device));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].device, device);
        assert_eq!(found[0].generation, 5);
        let addrs: Vec<_> = found[0].addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["/ip4/10.0.0.2/udp/99/quic-v1", "/ip4/10.0.0.2/tcp/77"]);
    }

    proptest! {
        #[test]
        fn bytes_from_anywhere_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = answers(&bytes);
            let mut close = answer(DeviceId([7; 32]));
            let at = at.index(close.len());
            close[at] = byte;
            let _ = answers(&close);
            let _ = answers(&close[..at]);
        }
    }
}
