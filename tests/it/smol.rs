//! A client of another make: smoltcp on the other end of a simulated wire, in the same virtual time.

use std::cell::Cell;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::sim::frame::MemFrame;
use dpdk_tcp::sim::pair::End;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant as SmolInstant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::reach::{OURS, PEERS};

thread_local! {
    /// The client's timestamp clock: smoltcp asks a plain function for it.
    static MILLIS: Cell<u32> = const { Cell::new(0) };
}

fn millis() -> u32 {
    MILLIS.get()
}

/// The end of a wire as a device of smoltcp.
struct Phy(End);

struct Received(MemFrame);

struct Sending<'a>(&'a mut End);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, look: F) -> R {
        look(self.0.bytes())
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let Some(mut frame) = self.0.alloc() else {
            // No frame: what is sent is lost.
            return fill(&mut vec![0; len]);
        };
        frame.set_len(len);
        frame.bytes_mut().fill(0);
        let result = fill(frame.bytes_mut());
        let mut burst = Burst::new();
        burst.push(frame);
        self.0.tx_burst(&mut burst);
        result
    }
}

impl Device for Phy {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: SmolInstant) -> Option<(Received, Sending<'_>)> {
        let mut burst = Burst::new();
        self.0.rx_burst(&mut burst, 1);
        Some((Received(burst.pop()?), Sending(&mut self.0)))
    }

    fn transmit(&mut self, _now: SmolInstant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = usize::from(self.0.caps().mtu) + 14;
        caps
    }
}

/// How a client's sockets are set up.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub receive_buffer: usize,
    pub send_buffer: usize,
    pub timestamps: bool,
    pub nagle: bool,
    pub ack_delay_ms: u64,
}

/// A host with sockets.
pub struct Client {
    phy: Phy,
    interface: Interface,
    sockets: SocketSet<'static>,
    habits: Habits,
}

fn smol(now: Instant) -> SmolInstant {
    SmolInstant::from_micros(now.micros() as i64)
}

impl Client {
    /// A host at the end of a wire.
    pub fn new(end: End, habits: Habits, seed: u64, now: Instant) -> Client {
        let mac = HardwareAddress::Ethernet(EthernetAddress(end.caps().mac));
        let mut phy = Phy(end);
        let mut config = Config::new(mac);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut phy, smol(now));
        let [a, b, c, d] = PEERS;
        interface.update_ip_addrs(|addrs| addrs.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24)).unwrap());
        Client { phy, interface, sockets: SocketSet::new(Vec::new()), habits }
    }

    /// The client's end of the wire.
    pub fn end(&self) -> &End {
        &self.phy.0
    }

    /// Begins to connect.
    pub fn connect(&mut self, from_port: u16, to_port: u16) -> SocketHandle {
        let mut socket = self.new_socket();
        let [a, b, c, d] = OURS;
        let to = (IpAddress::v4(a, b, c, d), to_port);
        socket.connect(self.interface.context(), to, from_port).unwrap();
        self.sockets.add(socket)
    }

    /// Waits for one connection to a port.
    pub fn listen(&mut self, port: u16) -> SocketHandle {
        let mut socket = self.new_socket();
        socket.listen(port).unwrap();
        self.sockets.add(socket)
    }

    fn new_socket(&self) -> tcp::Socket<'static> {
        let buffer = |len: usize| tcp::SocketBuffer::new(vec![0; len]);
        let Habits { receive_buffer, send_buffer, timestamps, nagle, ack_delay_ms } = self.habits;
        let mut socket = tcp::Socket::new(buffer(receive_buffer), buffer(send_buffer));
        socket.set_tsval_generator(timestamps.then_some(millis));
        socket.set_nagle_enabled(nagle);
        socket.set_ack_delay((ack_delay_ms > 0).then(|| Duration::from_millis(ack_delay_ms)));
        socket
    }

    /// A socket.
    pub fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Forgets a socket.
    pub fn remove(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }

    /// Receives and sends.
    pub fn poll(&mut self, now: Instant) {
        MILLIS.set(now.millis() as u32);
        self.interface.poll(smol(now), &mut self.phy, &mut self.sockets);
    }

    /// When the next timer is due.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(smol(now), &self.sockets)?;
        Some(Instant(at.total_micros().max(0) as u64))
    }
}
