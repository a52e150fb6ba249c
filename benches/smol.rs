//! The peer for whole connections: smoltcp at both ends of a wire in memory. A side has a number of sockets, which
//! open, ask, are answered, close and are used again, all of them in step, so that what looks at every socket does so
//! for as many segments as there can be. Checksums are computed and verified, and options are ours.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use smoltcp::iface::{Config, Context, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::rig::{REPLY, REQUEST};

const SERVER: IpAddress = IpAddress::v4(198, 18, 0, 1);
const CLIENT: IpAddress = IpAddress::v4(198, 18, 0, 2);
const PORT: u16 = 80;
const FIRST_PORT: u16 = 1_024;
const MTU: usize = 1_500;
/// Octets of a socket's buffers: what is said fits.
const BUFFER: usize = 512;
/// From one turn of both to the next.
const TURN_MS: u64 = 1;

thread_local! {
    /// The clock for timestamps: smoltcp asks a plain function for it.
    static MILLIS: Cell<u32> = const { Cell::new(0) };
}

/// What is on the way, by the side that it goes to, and frames to be used again.
#[derive(Default)]
struct Wire {
    towards: [VecDeque<Vec<u8>>; 2],
    spare: Vec<Vec<u8>>,
    frames: u64,
}

struct Phy {
    wire: Rc<RefCell<Wire>>,
    side: usize,
}

struct Received<'a> {
    frame: Vec<u8>,
    wire: &'a RefCell<Wire>,
}

struct Sending<'a> {
    wire: &'a RefCell<Wire>,
    to: usize,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, look: F) -> R {
        let result = look(&self.frame);
        self.wire.borrow_mut().spare.push(self.frame);
        result
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = self.wire.borrow_mut().spare.pop().unwrap_or_default();
        frame.resize(len, 0);
        let result = fill(&mut frame);
        let mut wire = self.wire.borrow_mut();
        wire.towards[self.to].push_back(frame);
        wire.frames += 1;
        result
    }
}

impl Device for Phy {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        let frame = self.wire.borrow_mut().towards[self.side].pop_front()?;
        let wire = &*self.wire;
        Some((Received { frame, wire }, Sending { wire, to: 1 - self.side }))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending { wire: &self.wire, to: 1 - self.side })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = MTU + 14;
        caps
    }
}

/// How a host is driven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Drive {
    /// As its documentation does: everything is received and sent by one call, and the application comes between two of
    /// them. What a connection acknowledges then leaves before its application speaks.
    Poll,
    /// The application comes between what is received and what is sent, so that a connection takes six packets.
    Between,
}

/// What was said on a socket's connection.
#[derive(Default)]
struct Talk {
    asked: bool,
    got: usize,
}

/// A host with its sockets.
struct Side {
    phy: Phy,
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<(SocketHandle, Talk)>,
}

impl Side {
    fn new(wire: &Rc<RefCell<Wire>>, side: usize, address: IpAddress, sockets: usize) -> Side {
        let mut phy = Phy { wire: wire.clone(), side };
        let mac = EthernetAddress([2, 0, 0, 0, 0, side as u8]);
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        config.random_seed = 1 + side as u64;
        let mut interface = Interface::new(config, &mut phy, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(address, 24)).unwrap());
        let mut set = SocketSet::new(Vec::new());
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let handles = (0..sockets).map(|_| {
            let mut socket = Socket::new(buffer(), buffer());
            socket.set_tsval_generator(Some(|| MILLIS.get()));
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            (set.add(socket), Talk::default())
        });
        let handles = handles.collect();
        Side { phy, interface, sockets: set, handles }
    }

    /// A turn, in which the application sees each socket.
    fn turn(
        &mut self,
        now: Instant,
        drive: Drive,
        mut app: impl FnMut(&mut Context, &mut Socket<'static>, &mut Talk),
    ) {
        let Side { phy, interface, sockets, handles } = self;
        if drive == Drive::Poll {
            interface.poll(now, phy, sockets);
        } else {
            interface.poll_maintenance(now);
            while interface.poll_ingress_single(now, phy, sockets) != PollIngressSingleResult::None {}
        }
        for (handle, talk) in handles {
            app(interface.context(), sockets.get_mut(*handle), talk);
        }
        if drive == Drive::Between {
            interface.poll_egress(now, phy, sockets);
        }
    }

    /// What has ended is used again. Smoltcp does not keep the endpoints of TIME-WAIT from others, nor needs the socket
    /// for them.
    fn listen(&mut self) {
        for (handle, talk) in &mut self.handles {
            let socket: &mut Socket<'_> = self.sockets.get_mut(*handle);
            if !socket.is_open() {
                *talk = Talk::default();
                socket.listen(PORT).unwrap();
            }
        }
    }
}

/// Both sides.
pub struct Smol {
    wire: Rc<RefCell<Wire>>,
    client: Side,
    server: Side,
    drive: Drive,
    now: Instant,
    next_port: u16,
    closed: u64,
}

impl Smol {
    /// So many sockets a side, of which all are in use.
    pub fn new(sockets: usize, drive: Drive) -> Smol {
        let wire = Rc::default();
        let client = Side::new(&wire, 0, CLIENT, sockets);
        let server = Side::new(&wire, 1, SERVER, sockets);
        let (now, next_port) = (Instant::ZERO, FIRST_PORT);
        let mut both = Smol { wire, client, server, drive, now, next_port, closed: 0 };
        // Until the addresses are resolved.
        both.until(10 * sockets as u64);
        both
    }

    /// Frames that both sides have sent for a connection.
    pub fn packets(&self) -> f64 {
        self.wire.borrow().frames as f64 / self.closed as f64
    }

    /// Until so many more connections have ended.
    pub fn until(&mut self, count: u64) {
        let until = self.closed + count;
        while self.closed < until {
            self.now += Duration::from_millis(TURN_MS);
            MILLIS.set(self.now.total_millis() as u32);
            let (closed, next_port) = (&mut self.closed, &mut self.next_port);
            self.client.turn(self.now, self.drive, |context, socket, talk| {
                ask(context, socket, talk, next_port, closed);
            });
            self.server.listen();
            self.server.turn(self.now, self.drive, |_, socket, talk| answer(socket, talk));
        }
    }
}

/// The client's application: it asks as soon as it may, and closes when the server has closed.
fn ask(
    context: &mut Context,
    socket: &mut Socket<'static>,
    talk: &mut Talk,
    next_port: &mut u16,
    closed: &mut u64,
) {
    match socket.state() {
        State::Closed => {
            if std::mem::take(talk).got == REPLY {
                *closed += 1;
            }
            socket.connect(context, (SERVER, PORT), *next_port).unwrap();
            *next_port = next_port.checked_add(1).unwrap_or(FIRST_PORT);
        }
        State::Established | State::CloseWait => {
            if !talk.asked {
                socket.send_slice(REQUEST).unwrap();
                talk.asked = true;
            }
            if socket.can_recv() {
                talk.got += socket.recv(|text| (text.len(), text.len())).unwrap();
            }
            if socket.state() == State::CloseWait {
                socket.close();
            }
        }
        _ => {}
    }
}

/// The server's application: the reply goes with the FIN.
fn answer(socket: &mut Socket<'static>, talk: &mut Talk) {
    if socket.state() == State::Established && socket.can_recv() {
        talk.got += socket.recv(|text| (text.len(), text.len())).unwrap();
        if talk.got == REQUEST.len() {
            socket.send_slice(&[b'y'; REPLY]).unwrap();
            socket.close();
        }
    }
}
