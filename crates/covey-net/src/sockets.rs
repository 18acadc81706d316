//! The sockets under libp2p: larger UDP buffers, and TCP connections that notice a dead link.
//!
//! libp2p opens its sockets itself and has no setting for either. On Linux a process can duplicate its
//! own descriptors safely with `pidfd_getfd(2)`, and a socket option set on a duplicate holds for the
//! socket; so we look through `/proc/self/fd` for the sockets bound to our ports. Where that isn't
//! possible (another system, a container that forbids the call) things work as before, slower, and
//! [`udp_buffer_report`] says what to do.

use std::{io, net::SocketAddr, time::Duration};

/// Receive buffer wanted for a QUIC socket: at 1 Gbit/s it holds 64 ms, about what a busy receiver may
/// be late. The system default of 208 KiB holds 2 ms, and drops the rest.
pub const UDP_BUFFER: usize = 8 << 20;

/// TCP keep-alive: the first probe after this silence, ...
const TCP_PROBE_AFTER: Duration = Duration::from_secs(4);
/// ... further ones this far apart, ...
const TCP_PROBE_EVERY: Duration = Duration::from_secs(3);
/// ... and the connection is given up after so many: a lost link is noticed after 13 s.
const TCP_PROBES: u32 = 3;

/// Whether the system lets QUIC have the receive buffer it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpBufferReport {
    /// Bytes that we ask for.
    pub wanted: usize,
    /// Bytes that a socket of this process gets; `None` when not even a socket could be had.
    pub got: Option<usize>,
    /// What to do about it; `None` when all is well.
    pub remedy: Option<String>,
}

impl UdpBufferReport {
    /// Whether the buffer is as large as wanted.
    pub const fn ok(&self) -> bool {
        matches!(self.got, Some(got) if got >= self.wanted)
    }
}

/// Tries on a throw-away socket what is done to the real ones.
pub fn udp_buffer_report() -> UdpBufferReport {
    let got = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| grow(&socket)).ok();
    let ok = got.is_some_and(|got| got >= UDP_BUFFER);
    let remedy =
        (!ok).then(|| format!("sysctl -w net.core.rmem_max={UDP_BUFFER} net.core.wmem_max={UDP_BUFFER}"));
    UdpBufferReport { wanted: UDP_BUFFER, got, remedy }
}

/// Raises the buffers of every UDP socket of this process that is bound to `port`; returns the
/// smallest receive buffer that came of it, in bytes.
pub(crate) fn raise_udp_buffers(port: u16) -> io::Result<usize> {
    let mut smallest = None;
    own_sockets(|socket| {
        let bound = socket.local_addr().ok().and_then(|addr| addr.as_socket());
        if socket.r#type().ok() == Some(socket2::Type::DGRAM) && bound.is_some_and(|addr| addr.port() == port)
        {
            let got = grow(&socket)?;
            smallest = Some(smallest.map_or(got, |least: usize| least.min(got)));
        }
        Ok(())
    })?;
    smallest.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no UDP socket is bound to the port"))
}

/// Makes the TCP connections to `peer` notice a dead link.
pub(crate) fn watch_tcp(peer: SocketAddr) -> io::Result<()> {
    own_sockets(|socket| {
        let remote = socket.peer_addr().ok().and_then(|addr| addr.as_socket());
        if socket.r#type().ok() == Some(socket2::Type::STREAM) && remote == Some(peer) {
            probe(&socket)?;
        }
        Ok(())
    })
}

#[cfg(target_os = "linux")]
fn grow(socket: &impl std::os::fd::AsFd) -> io::Result<usize> {
    use rustix::net::sockopt;
    // FORCE goes past the system's limit; only an administrator may.
    if sockopt::set_socket_recv_buffer_size_force(socket, UDP_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, UDP_BUFFER)?;
    }
    sockopt::set_socket_send_buffer_size(socket, UDP_BUFFER)?;
    // The kernel answers with twice what it grants, to count its own bookkeeping.
    Ok(sockopt::socket_recv_buffer_size(socket)? / 2)
}

#[cfg(not(target_os = "linux"))]
fn grow(socket: &std::net::UdpSocket) -> io::Result<usize> {
    let socket = socket2::SockRef::from(socket);
    socket.set_recv_buffer_size(UDP_BUFFER)?;
    socket.set_send_buffer_size(UDP_BUFFER)?;
    socket.recv_buffer_size()
}

#[cfg(target_os = "linux")]
fn probe(socket: &socket2::Socket) -> io::Result<()> {
    use rustix::net::sockopt;
    let alive = socket2::TcpKeepalive::new()
        .with_time(TCP_PROBE_AFTER)
        .with_interval(TCP_PROBE_EVERY)
        .with_retries(TCP_PROBES);
    socket.set_tcp_keepalive(&alive)?;
    // Keep-alive is silent while sent data waits for its acknowledgement; this bounds that wait too.
    let limit = TCP_PROBE_AFTER + TCP_PROBE_EVERY * TCP_PROBES;
    Ok(sockopt::set_tcp_user_timeout(socket, u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))?)
}

#[cfg(not(target_os = "linux"))]
fn probe(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(TCP_PROBE_AFTER))
}

/// Shows a duplicate of each of this process's sockets to `look`.
#[cfg(target_os = "linux")]
fn own_sockets(mut look: impl FnMut(socket2::Socket) -> io::Result<()>) -> io::Result<()> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let myself = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let (true, Some(number)) = (is_socket, number) else { continue };
        match pidfd_getfd(&myself, number, PidfdGetfdFlags::empty()) {
            Ok(duplicate) => look(socket2::Socket::from(duplicate))?,
            Err(rustix::io::Errno::BADF) => {} // closed since we listed it
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn own_sockets(_: impl FnMut(socket2::Socket) -> io::Result<()>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only done on Linux"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_a_socket_that_is_found_by_its_port_grows() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = socket2::SockRef::from(&socket).recv_buffer_size().unwrap();
        let got = raise_udp_buffers(socket.local_addr().unwrap().port()).unwrap();
        let after = socket2::SockRef::from(&socket).recv_buffer_size().unwrap();
        assert_eq!(after, 2 * got);
        assert!(after > before, "{before} -> {after}");
        assert_eq!(udp_buffer_report().got, Some(got));
    }

    #[test]
    fn a_port_without_a_socket_is_an_error() {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(raise_udp_buffers(free).is_err());
    }

    #[test]
    fn a_tcp_connection_to_a_peer_is_watched() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        watch_tcp(listener.local_addr().unwrap()).unwrap();
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
    }
}
