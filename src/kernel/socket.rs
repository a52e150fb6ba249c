//! Sockets as client and server need them, and what the kernel's error numbers mean for the account.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use mio::net::TcpStream;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::sockopt::{IpBindAddressNoPort, Linger, ReuseAddr, ReusePort, TcpNoDelay};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind,
    connect, listen, send, setsockopt, socket,
};

use super::Options;
use crate::load::tuples::Tuple;
use crate::stats::account::{Broken, Failed};

/// What of a connection's own endpoint is taken from its tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nothing: the kernel chooses address and port.
    Kernel,
    /// The address; the kernel chooses the port, of those that are free towards this target.
    Address,
    /// Address and port.
    Pair,
}

/// Begins to open a connection, without waiting.
///
/// # Errors
/// What the kernel said.
pub(super) fn open(
    tuple: &Tuple,
    source: Source,
    options: &Options,
    nodelay: bool,
) -> Result<TcpStream, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    options.set(&fd).map_err(|(_, error)| error)?;
    let own = |port| SockaddrIn::from(std::net::SocketAddrV4::new(tuple.source, port));
    match source {
        Source::Kernel => {}
        Source::Address => {
            setsockopt(&fd, IpBindAddressNoPort, &true)?;
            bind(fd.as_raw_fd(), &own(0))?;
        }
        Source::Pair => {
            // One port of ours serves many targets, and the pairs in TIME-WAIT are told apart by connect().
            setsockopt(&fd, ReuseAddr, &true)?;
            bind(fd.as_raw_fd(), &own(tuple.source_port))?;
        }
    }
    if nodelay {
        setsockopt(&fd, TcpNoDelay, &true)?;
    }
    match connect(fd.as_raw_fd(), &SockaddrIn::from(tuple.target)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(TcpStream::from_std(fd.into())),
        Err(error) => Err(error),
    }
}

/// A listener whose connections do not wait for acknowledgments before they send (no Nagle). With `shared`, several
/// loops may listen at the same endpoint, and the kernel deals the connections out. Up to `backlog` may wait to be
/// accepted, or as many as the kernel allows.
///
/// # Errors
/// What the kernel said.
pub(super) fn listen_at(
    address: SocketAddr,
    shared: bool,
    backlog: u32,
    options: &Options,
) -> io::Result<mio::net::TcpListener> {
    let (family, address): (_, &dyn SockaddrLike) = match address {
        SocketAddr::V4(address) => (AddressFamily::Inet, &SockaddrIn::from(address)),
        SocketAddr::V6(address) => (AddressFamily::Inet6, &SockaddrIn6::from(address)),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    if shared {
        setsockopt(&fd, ReusePort, &true)?;
    }
    setsockopt(&fd, TcpNoDelay, &true)?;
    options.set(&fd).map_err(|(_, error)| error)?;
    bind(fd.as_raw_fd(), address)?;
    let backlog = i32::try_from(backlog).ok().and_then(|backlog| Backlog::new(backlog).ok());
    listen(&fd, backlog.unwrap_or(Backlog::MAXALLOWABLE))?;
    Ok(mio::net::TcpListener::from_std(TcpListener::from(fd)))
}

/// What follows octets that are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Follow {
    /// More octets, some time, or none.
    Anything,
    /// Our FIN at once: it may travel in the same segment.
    Fin,
}

/// Sends octets, as many as there is room for; `None` when there is none now.
///
/// # Errors
/// What the kernel said.
pub(super) fn write(stream: &TcpStream, octets: &[u8], follow: Follow) -> Result<Option<usize>, Errno> {
    let flags = match follow {
        Follow::Anything => MsgFlags::MSG_NOSIGNAL,
        Follow::Fin => MsgFlags::MSG_NOSIGNAL | MsgFlags::from_bits_retain(libc::MSG_MORE),
    };
    loop {
        return match send(stream.as_raw_fd(), octets, flags) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error),
        };
    }
}

/// Reads octets; `None` when there are none now, 0 at the other end's FIN.
///
/// # Errors
/// What the kernel said.
pub(super) fn read(mut stream: &TcpStream, place: &mut [u8]) -> Result<Option<usize>, Errno> {
    loop {
        let error = match io::Read::read(&mut stream, place) {
            Ok(count) => return Ok(Some(count)),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(errno(&error)),
        }
    }
}

/// Sends our FIN behind what was sent.
///
/// # Errors
/// What the kernel said.
pub(super) fn finish(stream: &TcpStream) -> Result<(), Errno> {
    stream.shutdown(std::net::Shutdown::Write).map_err(|error| errno(&error))
}

/// Ends a connection by a reset, and throws away what is queued.
pub(super) fn reset(stream: TcpStream) {
    // Where that fails the connection is over already, and dropping it is enough.
    let _ = setsockopt(&stream, Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// The error that a connection met while it was opened.
pub(super) fn pending_error(stream: &TcpStream) -> Option<Errno> {
    stream.take_error().ok().flatten().map(|error| errno(&error))
}

/// The kernel's number of an error.
pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Why a connection was not opened.
pub(super) fn failed(error: Errno) -> Failed {
    match error {
        Errno::EADDRINUSE | Errno::EADDRNOTAVAIL | Errno::EAGAIN => Failed::NoTuple,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => Failed::NoTcb,
        Errno::ECONNREFUSED => Failed::Refused,
        Errno::ETIMEDOUT => Failed::SynTimedOut,
        Errno::EHOSTUNREACH | Errno::ENETUNREACH => Failed::Unreachable,
        _ => Failed::Else,
    }
}

/// Why a connection that was open is over.
pub(super) fn broken(error: Errno) -> Broken {
    match error {
        // The last two are what follows once the reset itself was told.
        Errno::ECONNRESET | Errno::EPIPE | Errno::ENOTCONN => Broken::Reset,
        Errno::ETIMEDOUT => Broken::RetransmissionTimedOut,
        Errno::EHOSTUNREACH | Errno::ENETUNREACH => Broken::Unreachable,
        _ => Broken::Else,
    }
}

/// Lets this process have as many as `wanted` descriptors open, or as many as its hard limit allows; says how many
/// that are. A connection takes one, and the program a few.
///
/// # Errors
/// What the kernel said.
pub fn raise_descriptors(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = wanted.min(hard).max(soft);
    if limit > soft {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_place_in_the_account() {
        assert_eq!(failed(Errno::EADDRNOTAVAIL), Failed::NoTuple);
        assert_eq!(failed(Errno::EMFILE), Failed::NoTcb);
        assert_eq!(failed(Errno::ECONNREFUSED), Failed::Refused);
        assert_eq!(failed(Errno::ETIMEDOUT), Failed::SynTimedOut);
        assert_eq!(failed(Errno::ENETUNREACH), Failed::Unreachable);
        assert_eq!(failed(Errno::EPERM), Failed::Else);
        assert_eq!(broken(Errno::EPIPE), Broken::Reset);
        assert_eq!(broken(Errno::ETIMEDOUT), Broken::RetransmissionTimedOut);
        assert_eq!(broken(Errno::EHOSTUNREACH), Broken::Unreachable);
        assert_eq!(broken(Errno::EIO), Broken::Else);
        assert_eq!(errno(&io::Error::from_raw_os_error(libc::EPIPE)), Errno::EPIPE);
        assert_eq!(errno(&io::Error::other("none of the kernel's")), Errno::UnknownErrno);
    }

    #[test]
    fn descriptors_are_never_taken_away_and_never_above_the_hard_limit() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_descriptors(1).unwrap(), soft);
        assert_eq!(raise_descriptors(soft).unwrap(), soft);
        assert_eq!(raise_descriptors(u64::MAX).unwrap(), hard);
    }
}
