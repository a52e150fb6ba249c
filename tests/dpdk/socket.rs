//! What `std::net` does not offer: namespaces, sockets with options set before they connect, resets on close,
//! and pings without a tool.

#![allow(unsafe_code, reason = "system calls that std has no function for")]

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Puts this thread, and what it starts, into a network namespace of `ip netns`.
#[track_caller]
pub fn enter_namespace(name: &str) {
    let file = File::open(format!("/run/netns/{name}")).unwrap();
    // SAFETY: the descriptor is open for the whole call; only this thread's namespace changes.
    let rc = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
}

/// Lets this process have as many open files as it may.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place for the answer outlives the call.
    let rc = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the limits are read during the call only.
    let rc = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
}

/// Sends a signal to a process that this one has started and not waited for.
#[track_caller]
pub fn signal(process: u32, signal: i32) {
    let process = libc::pid_t::try_from(process).unwrap();
    assert!(process > 1);
    // SAFETY: takes two numbers.
    let rc = unsafe { libc::kill(process, signal) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
}

fn mask(how: i32) {
    // SAFETY: the set is initialised before it is used, and both calls keep nothing of it.
    let rc = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGRTMIN() + 1);
        libc::pthread_sigmask(how, &set, std::ptr::null_mut())
    };
    assert_eq!(rc, 0, "{}", io::Error::from_raw_os_error(rc));
}

/// Keeps the signal by which a tap tells of frames away from this thread, and from those that it starts: it
/// would interrupt their system calls.
pub fn block_signals() {
    mask(libc::SIG_BLOCK);
}

/// Lets this thread be told of frames.
pub fn allow_signals() {
    mask(libc::SIG_UNBLOCK);
}

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: &impl Sized) {
    let (len, value) = (size_of_val(value) as libc::socklen_t, std::ptr::from_ref(value));
    // SAFETY: the value is read during the call only, as many bytes of it as it has.
    let rc = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), len) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
}

fn socket(kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: takes three numbers.
    let fd = unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, protocol) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A close of this socket is a reset from now on.
pub fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set(stream, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// The socket asks its peer whether it is still there after a second of silence, and every second from then on,
/// and gives up after `count` questions without an answer.
pub fn keep_alive(stream: &TcpStream, count: i32) {
    set(stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &1i32);
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, &1i32);
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, &1i32);
    set(stream, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, &count);
}

/// Sends octets the last of which is urgent.
pub fn send_urgent(stream: &TcpStream, octets: &[u8]) {
    // SAFETY: the octets are read during the call only.
    let sent = unsafe { libc::send(stream.as_raw_fd(), octets.as_ptr().cast(), octets.len(), libc::MSG_OOB) };
    assert_eq!(sent, octets.len() as isize, "{}", io::Error::last_os_error());
}

/// The urgent octet that has arrived, if one has.
pub fn receive_urgent(stream: &TcpStream) -> Option<u8> {
    let mut octet = 0u8;
    // SAFETY: the place for one octet outlives the call.
    let count =
        unsafe { libc::recv(stream.as_raw_fd(), std::ptr::from_mut(&mut octet).cast(), 1, libc::MSG_OOB) };
    (count == 1).then_some(octet)
}

/// A listener whose connections have the options of `dial`, and of which so many wait to be accepted (and one more).
pub fn listen(at: SocketAddr, dial: Dial, backlog: i32) -> io::Result<TcpListener> {
    let SocketAddr::V4(at) = at else { return Err(io::ErrorKind::Unsupported.into()) };
    let listener = TcpListener::from(socket(libc::SOCK_STREAM, 0));
    set(&listener, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32);
    dial.set(&listener);
    bind(&listener, sockaddr(*at.ip(), at.port()))?;
    // SAFETY: takes two numbers.
    let rc = unsafe { libc::listen(listener.as_raw_fd(), backlog) };
    if rc == 0 { Ok(listener) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &impl AsRawFd, own: libc::sockaddr_in) -> io::Result<()> {
    let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the address is read during the call only, as many bytes of it as it has.
    let rc = unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&own).cast(), len) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How a socket is made before it connects.
#[derive(Clone, Copy, Default)]
pub struct Dial {
    /// The address that it connects from.
    pub from: Option<Ipv4Addr>,
    /// The port that it connects from; only with an address.
    pub from_port: u16,
    /// SO_RCVBUF.
    pub receive_buffer: Option<i32>,
    /// SO_SNDBUF.
    pub send_buffer: Option<i32>,
    /// TCP_CONGESTION. Unlike the variable of that name it may be any that there is, in every namespace.
    pub congestion: Option<&'static str>,
    /// How long connecting, reading and writing may take; 20 seconds where nothing else is said.
    pub patience: Option<Duration>,
}

fn sockaddr(ip: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
        sin_zero: [0; 8],
    }
}

impl Dial {
    /// Sets the options that are set before a connection begins.
    fn set(self, socket: &impl AsRawFd) {
        for (name, size) in [(libc::SO_RCVBUF, self.receive_buffer), (libc::SO_SNDBUF, self.send_buffer)] {
            if let Some(size) = size {
                set(socket, libc::SOL_SOCKET, name, &size);
            }
        }
        if let Some(name) = self.congestion {
            let mut octets = [0u8; 16];
            octets[..name.len()].copy_from_slice(name.as_bytes());
            set(socket, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &octets);
        }
    }

    /// Connects.
    pub fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        let stream = TcpStream::from(socket(libc::SOCK_STREAM, 0));
        // The time to write is the time to connect as well.
        let patience = Some(self.patience.unwrap_or(Duration::from_secs(20)));
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        self.set(&stream);
        let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        if let Some(from) = self.from {
            // A port is chosen when it is known whom to connect to, so that one port serves several peers.
            set(&stream, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &1i32);
            bind(&stream, sockaddr(from, self.from_port))?;
        }
        let peer = sockaddr(*to.ip(), to.port());
        // SAFETY: the address is read during the call only, as many bytes of it as it has.
        let rc = unsafe { libc::connect(stream.as_raw_fd(), std::ptr::from_ref(&peer).cast(), len) };
        match rc {
            0 => Ok(stream),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => connected(stream, patience),
                error => Err(error),
            },
        }
    }
}

/// Waits for the end of a connect that was interrupted: it goes on by itself, and cannot be called again. A machine that
/// is stopped for a moment interrupts every call that has a time limit.
fn connected(stream: TcpStream, patience: Option<Duration>) -> io::Result<TcpStream> {
    let end = std::time::Instant::now() + patience.unwrap_or_default();
    let mut wanted = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    while std::time::Instant::now() < end {
        // SAFETY: one descriptor, which is looked at during the call only.
        match unsafe { libc::poll(&raw mut wanted, 1, 100) } {
            1 => return stream.take_error()?.map_or(Ok(stream), Err),
            _ => continue,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// All frames that an interface receives and sends, one a `read`; a `write` sends one. A `read` waits for half a second.
pub fn frames(interface: &str) -> File {
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: the name ends with a zero and is read during the call only.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert!(index > 0, "{interface}: {}", io::Error::last_os_error());
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: takes three numbers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(all)) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a descriptor that was just opened and that nobody else knows.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let own = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: all,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is read during the call only, as many bytes of it as it has.
    let rc = unsafe { libc::bind(fd, std::ptr::from_ref(&own).cast(), len) };
    assert_eq!(rc, 0, "{}", io::Error::last_os_error());
    let wait = libc::timeval { tv_sec: 0, tv_usec: 500_000 };
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait);
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &(4i32 << 20));
    File::from(socket)
}

/// Sends an ICMP echo request with so many octets of data and the bit "don't fragment", and returns the data
/// of the answer.
pub fn ping(to: Ipv4Addr, number: u16, data: &[u8]) -> io::Result<Vec<u8>> {
    const HEADER: usize = 8;
    let socket = UdpSocket::from(socket(libc::SOCK_RAW, libc::IPPROTO_ICMP));
    set(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_DO);
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let [high, low] = number.to_be_bytes();
    let mut request = vec![8, 0, 0, 0, high, low, high, low];
    request.extend(data);
    let checksum = (!sum(&request)).to_be_bytes();
    request[2..4].copy_from_slice(&checksum);
    socket.send_to(&request, (to, 0))?;
    let mut packet = vec![0; 0xffff];
    loop {
        let count = socket.recv(&mut packet)?;
        let message = &packet[usize::from(packet[0] & 15) * 4..count];
        // Other messages of this host pass by as well.
        if message[0] == 0 && message[4..HEADER] == [high, low, high, low] {
            assert_eq!(sum(message), 0xffff, "the answer's checksum");
            return Ok(message[HEADER..].to_vec());
        }
    }
}

/// The Internet checksum's sum (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = bytes.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
