//! The application of a host: it knows which connection is which side of which talk, and leaves the rest to the
//! ledger.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId};

use super::ledger::{Ledger, Place};
use super::plan::Kind;

/// The address of the host with a number; those beyond the last host's are nobody's.
pub fn address(host: usize) -> [u8; 4] {
    let number = u32::from_be_bytes([198, 18, 0, 1]) + host as u32;
    number.to_be_bytes()
}

/// Numbers from here on are outside of everybody's subnet, 198.18.0.0/16.
const BEYOND: usize = 1 << 16;

/// The application of one host.
pub struct Actor {
    host: usize,
    ledger: Rc<RefCell<Ledger>>,
    /// What each slot's connection is.
    places: Vec<Option<(u32, Place)>>,
    /// Sides that are to open now.
    pub to_open: Vec<Place>,
    /// Those that did, and those that must try again.
    pub opened: Vec<(Place, ConnId)>,
    pub refused: Vec<(Place, OpenError)>,
}

fn v4(address: SocketAddr) -> ([u8; 4], u16) {
    match address.ip() {
        IpAddr::V4(ip) => (ip.octets(), address.port()),
        IpAddr::V6(_) => panic!("only IPv4"),
    }
}

impl Actor {
    pub fn new(host: usize, slots: u32, ledger: Rc<RefCell<Ledger>>) -> Actor {
        let places = vec![None; slots as usize];
        Actor { host, ledger, places, to_open: Vec::new(), opened: Vec::new(), refused: Vec::new() }
    }

    /// Which side of which talk a connection is.
    pub fn place(&self, id: ConnId) -> Option<Place> {
        let (generation, place) = self.places[id.index as usize]?;
        (generation == id.generation).then_some(place)
    }

    fn assign(&mut self, id: ConnId, place: Place) {
        self.places[id.index as usize] = Some((id.generation, place));
    }

    fn open(&mut self, api: &mut Api<'_>, place: Place) {
        let talk = self.ledger.borrow().plan.talks[place.0];
        let hosts = self.ledger.borrow().plan.hosts.len();
        let (own_port, port) = match place.1 {
            0 => talk.ports,
            _ => (Some(talk.ports.1), talk.ports.0.unwrap()),
        };
        let to = match talk.kind {
            Kind::NoHost => hosts + place.0,
            Kind::NoRoute => BEYOND + place.0,
            _ => talk.hosts[1 - place.1],
        };
        let remote = SocketAddr::new(IpAddr::V4(address(to).into()), port);
        match api.open(None, own_port, remote) {
            Ok(id) => {
                self.assign(id, place);
                self.opened.push((place, id));
                self.ledger.borrow_mut().opens(place, id);
            }
            Err(error) => self.refused.push((place, error)),
        }
    }
}

impl App for Actor {
    fn poll(&mut self, api: &mut Api<'_>) {
        for place in std::mem::take(&mut self.to_open) {
            self.open(api, place);
        }
    }

    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        let place = self.place(conn.id()).expect("it was opened here");
        self.ledger.borrow_mut().begins(place, conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        let (remote, port) = v4(conn.remote());
        let found = self.ledger.borrow().find(self.host, conn.local().port(), remote, port);
        let Some(place) = found else {
            // An old cookie that was proved again.
            conn.abort();
            return Accept::Take;
        };
        if self.ledger.borrow().waits(place) {
            return Accept::Later;
        }
        self.assign(conn.id(), place);
        self.ledger.borrow_mut().begins(place, conn);
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        let Some(place) = self.place(conn.id()) else { return data.len() };
        let mut ledger = self.ledger.borrow_mut();
        let taken = ledger.reads(place, data);
        ledger.act(place, conn);
        taken
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        let Some(place) = self.place(conn.id()) else { return };
        let mut ledger = self.ledger.borrow_mut();
        ledger.gets_forward(place);
        ledger.act(place, conn);
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        let Some(place) = self.place(conn.id()) else { return };
        self.ledger.borrow_mut().peer_closes(place, conn);
    }

    fn on_closed(&mut self, id: ConnId, reason: CloseReason) {
        let Some(place) = self.place(id) else { return };
        self.places[id.index as usize] = None;
        self.ledger.borrow_mut().ends(place, reason);
    }
}
