//! The libp2p behaviours a node runs, and the swarm that runs them.
//!
//! QUIC, and TCP with Noise and yamux; identify, ping, gossipsub (signed, strictly checked), a
//! block list, [limits](crate::admission), and our streams. Nothing here dials by itself: dialling is decided by the
//! [`task`](crate::task).

use libp2p::{
    Swarm, SwarmBuilder, allow_block_list, gossipsub, identify,
    identity::Keypair,
    noise, ping,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};

use crate::{
    admission,
    config::{
        CONNECTION_TIMEOUT, GOSSIP_QUEUE, IDLE_CONNECTION, MAX_GOSSIP, NetConfig, PING_INTERVAL,
        PING_TIMEOUT, QUIC_CONNECTION_WINDOW, QUIC_HANDSHAKE, QUIC_IDLE, QUIC_KEEP_ALIVE, QUIC_STREAM_WINDOW,
    },
    errors::NetError,
    stream,
};

/// What identify calls the protocol family.
const IDENTIFY: &str = "/covey/1";
/// Room for the protobuf frame, the signature and the topic around gossip's payload.
const GOSSIP_FRAME: usize = 1024;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// The first: who is banned must not take anybody's place.
    pub(crate) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) admission: admission::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossipsub: gossipsub::Behaviour,
    pub(crate) streams: stream::Behaviour,
}

impl Behaviour {
    fn new(keypair: &Keypair, config: &NetConfig, accepts: stream::Accepts) -> Result<Self, NetError> {
        let identify = identify::Config::new(IDENTIFY.to_owned(), keypair.public());
        Ok(Self {
            blocked: allow_block_list::Behaviour::default(),
            admission: admission::Behaviour::new(config.limits.clone()),
            identify: identify::Behaviour::new(
                identify.with_agent_version(config.agent.clone()).with_cache_size(0),
            ),
            ping: ping::Behaviour::new(
                ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
            ),
            gossipsub: gossip(keypair)?,
            streams: stream::Behaviour::new(accepts),
        })
    }
}

fn gossip(keypair: &Keypair) -> Result<gossipsub::Behaviour, NetError> {
    let failed = |reason: String| NetError::Setup { what: "gossip", reason };
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .message_id_fn(message_id)
        .max_transmit_size(MAX_GOSSIP + GOSSIP_FRAME)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    gossipsub::Behaviour::new(signed, config).map_err(|error| failed(error.to_owned()))
}

/// Two nodes that say the same on the same topic say it once.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut hasher = blake3::Hasher::new_derive_key("covey 2026 gossip message id v1");
    hasher.update(message.topic.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&message.data);
    gossipsub::MessageId::new(&hasher.finalize().as_bytes()[..20])
}

/// Builds the swarm. Nothing listens yet.
pub(crate) fn swarm(config: &NetConfig, accepts: stream::Accepts) -> Result<Swarm<Behaviour>, NetError> {
    let failed = |what, reason: String| NetError::Setup { what, reason };
    let mut seed = *config.secret.seed().expose();
    let keypair =
        Keypair::ed25519_from_bytes(&mut seed).map_err(|error| NetError::Identity(error.to_string()))?;
    let transports = |keypair: &Keypair| {
        let tcp = tcp::Config::default().nodelay(true);
        SwarmBuilder::with_existing_identity(keypair.clone())
            .with_tokio()
            .with_tcp(tcp, noise::Config::new, yamux::Config::default)
            .map_err(|error| failed("TCP transport", error.to_string()))
            .map(|builder| builder.with_quic_config(quic))
    };
    let behaviour = Behaviour::new(&keypair, config, accepts)?;
    let settings = |settings: swarm::Config| settings.with_idle_connection_timeout(IDLE_CONNECTION);
    // Without a readable resolver configuration (a bare container) names can't be dialled; addresses can.
    match transports(&keypair)?.with_dns() {
        Ok(builder) => {
            let Ok(builder) = builder.with_behaviour(|_| behaviour);
            Ok(builder.with_swarm_config(settings).with_connection_timeout(CONNECTION_TIMEOUT).build())
        }
        Err(error) => {
            tracing::warn!(%error, "no name resolver is configured: only numeric addresses can be dialled");
            let Ok(builder) = transports(&keypair)?.with_behaviour(|_| behaviour);
            Ok(builder.with_swarm_config(settings).with_connection_timeout(CONNECTION_TIMEOUT).build())
        }
    }
}

fn quic(mut config: libp2p::quic::Config) -> libp2p::quic::Config {
    config.handshake_timeout = QUIC_HANDSHAKE;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_idle_timeout = u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config
}
