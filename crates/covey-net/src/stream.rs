//! Raw byte streams between two devices, by protocol name.
//!
//! A small libp2p behaviour of our own. The ready-made `libp2p-stream` hands inbound streams over
//! through a channel with a single slot and drops what doesn't fit: with 40 peers that open one stream
//! each at once, 4 to 20 of them got through when taking one took 0.2 to 2 ms, and once 21 when it took
//! no time at all. It also picks a connection at random and never forgets the channels of closed ones.
//! Here an inbound stream waits in a bounded queue, and outbound streams go over the connection that was
//! there first, so that the spare one of two ends that dialled each other at once ends by its idle time.
//!
//! An open stream keeps its connection alive; this behaviour does nothing else to that end.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use covey_types::DeviceId;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
        FromSwarm, NetworkBehaviour, NotifyHandler, Stream, StreamUpgradeError, SubstreamProtocol, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use crate::errors::{NetError, OpenError};

/// Inbound streams of one protocol that may wait to be taken; one more is refused. Every peer of a
/// large team can come back at once.
const WAITING_STREAMS: usize = 256;
/// Streams being opened on one connection at once.
const OPENING_STREAMS: usize = 64;

/// A byte stream to a device. Closing it (`shutdown`) ends our direction; dropping it resets both.
#[derive(Debug)]
pub struct NetStream(Compat<Stream>);

impl NetStream {
    fn new(stream: Stream) -> Self {
        Self(stream.compat())
    }
}

impl AsyncRead for NetStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Accepted = (DeviceId, NetStream);

/// The streams that peers open to us under one protocol. Dropping it stops accepting the protocol.
#[derive(Debug)]
pub struct Incoming {
    receiver: mpsc::Receiver<Accepted>,
}

impl Incoming {
    /// The next stream; `None` after the network was shut down.
    pub async fn next(&mut self) -> Option<(DeviceId, NetStream)> {
        self.receiver.recv().await
    }
}

/// Which protocols we accept, and who takes their streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepts(Arc<Mutex<HashMap<&'static str, mpsc::Sender<Accepted>>>>);

impl Accepts {
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, mpsc::Sender<Accepted>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn accept(&self, protocol: &'static str) -> Result<Incoming, NetError> {
        if !protocol.starts_with('/') {
            return Err(NetError::ProtocolName(protocol));
        }
        let mut accepts = self.lock();
        accepts.retain(|_, sender| !sender.is_closed());
        if accepts.contains_key(protocol) {
            return Err(NetError::AlreadyAccepted(protocol));
        }
        let (sender, receiver) = mpsc::channel(WAITING_STREAMS);
        accepts.insert(protocol, sender);
        Ok(Incoming { receiver })
    }

    /// Ends every [`Incoming`].
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn protocols(&self) -> Protocols {
        let accepts = self.lock();
        let open = accepts.iter().filter(|(_, sender)| !sender.is_closed());
        Protocols(open.map(|(&name, _)| StreamProtocol::new(name)).collect())
    }

    fn deliver(&self, from: PeerId, protocol: &StreamProtocol, stream: Stream) {
        let Some(device) = device_of(&from) else { return };
        let Some(sender) = self.lock().get(protocol.as_ref()).cloned() else { return };
        if sender.try_send((device, NetStream::new(stream))).is_err() {
            tracing::warn!(%device, %protocol, "an inbound stream was refused: too many wait to be taken");
        }
    }
}

/// The device behind a peer id; `None` when its key is not Ed25519.
pub(crate) fn device_of(peer: &PeerId) -> Option<DeviceId> {
    DeviceId::from_peer_id_bytes(&peer.to_bytes())
}

/// The answer to a request for a stream.
pub(crate) type OpenReply = oneshot::Sender<Result<NetStream, OpenError>>;

/// A request for a stream, on its way to a connection.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    device: DeviceId,
    protocol: &'static str,
    reply: OpenReply,
}

impl OpenRequest {
    fn refuse(self, error: OpenError) {
        let _ = self.reply.send(Err(error));
    }

    fn failed(self, error: StreamUpgradeError<Infallible>) {
        let (peer, protocol) = (self.device, self.protocol);
        let error = match error {
            StreamUpgradeError::NegotiationFailed => OpenError::Unsupported { peer, protocol },
            StreamUpgradeError::Timeout => {
                OpenError::Failed { peer, protocol, reason: "the peer did not answer in time".to_owned() }
            }
            StreamUpgradeError::Io(error) => OpenError::Failed { peer, protocol, reason: error.to_string() },
            StreamUpgradeError::Apply(never) => match never {},
        };
        self.refuse(error);
    }
}

/// The behaviour: knows the connections of each peer, and passes requests on to them.
#[derive(Default)]
pub(crate) struct Behaviour {
    accepts: Accepts,
    /// Oldest first.
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    requests: VecDeque<(PeerId, ConnectionId, OpenRequest)>,
}

impl Behaviour {
    pub(crate) fn new(accepts: Accepts) -> Self {
        Self { accepts, ..Self::default() }
    }

    /// Opens a stream over the oldest connection; the swarm must be polled afterwards.
    pub(crate) fn open(&mut self, peer: PeerId, device: DeviceId, protocol: &'static str, reply: OpenReply) {
        let request = OpenRequest { device, protocol, reply };
        match self.connections.get(&peer).and_then(|all| all.first()) {
            Some(&connection) => self.requests.push_back((peer, connection, request)),
            None => request.refuse(OpenError::NotConnected(device)),
        }
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.connections.get_mut(&peer) {
            all.retain(|&one| one != connection);
            if all.is_empty() {
                self.connections.remove(&peer);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(peer, self.accepts.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(peer, self.accepts.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connections.entry(peer_id).or_default().push(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.closed(peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.requests.pop_front() {
            Some((peer_id, connection, event)) => {
                let handler = NotifyHandler::One(connection);
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event })
            }
            None => Poll::Pending,
        }
    }
}

/// One connection's part.
pub(crate) struct Handler {
    peer: PeerId,
    accepts: Accepts,
    requests: VecDeque<OpenRequest>,
    opening: usize,
}

impl Handler {
    const fn new(peer: PeerId, accepts: Accepts) -> Self {
        Self { peer, accepts, requests: VecDeque::new(), opening: 0 }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenRequest;
    type ToBehaviour = Infallible;
    type InboundProtocol = Protocols;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenRequest;

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols, ()> {
        SubstreamProtocol::new(self.accepts.protocols(), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, OpenRequest, Infallible>> {
        match self.requests.pop_front() {
            Some(request) => {
                let protocols = Protocols(vec![StreamProtocol::new(request.protocol)]);
                let protocol = SubstreamProtocol::new(protocols, request);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, request: OpenRequest) {
        if self.opening >= OPENING_STREAMS {
            let device = request.device;
            return request.refuse(OpenError::TooMany(device));
        }
        self.opening += 1;
        self.requests.push_back(request);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocols, Protocols, (), OpenRequest>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.accepts.deliver(self.peer, &protocol.1, protocol.0);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.opening -= 1;
                let _ = info.reply.send(Ok(NetStream::new(protocol.0)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.opening -= 1;
                info.failed(error);
            }
            _ => {}
        }
    }
}

/// The protocols one side offers; negotiation picks one and leaves the stream as it is.
#[derive(Debug, Clone)]
pub(crate) struct Protocols(Vec<StreamProtocol>);

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
