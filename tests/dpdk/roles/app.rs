//! The application at our end: it sends a text, compares what comes with another, echoes, or does nothing, and
//! notes what it is told.

use std::sync::{Arc, Mutex};

use dpdk_tcp::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};

use crate::text::Text;

/// Numbers of the texts that our end and the kernel's send.
pub const OURS: u64 = 1;
pub const THEIRS: u64 = 2;

/// What our end does with what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// Takes it, and compares it with the kernel's text.
    Compare,
    /// Sends it back.
    Echo,
    /// Leaves it, until told otherwise.
    Nothing,
}

/// When our end sends, or closes its direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// As soon as it can.
    AtOnce,
    /// After the peer's FIN.
    AfterPeer,
    /// By a call of the test's only.
    Never,
}

/// What our end of a connection does.
#[derive(Clone, Copy, Debug)]
pub struct Conduct {
    /// Octets of text that it sends.
    pub send: usize,
    pub begin: When,
    /// Its FIN; never before all is queued.
    pub fin: When,
    pub read: Read,
}

impl Conduct {
    /// Takes what comes, and closes after the peer.
    pub const TAKE: Conduct =
        Conduct { send: 0, begin: When::AtOnce, fin: When::AfterPeer, read: Read::Compare };
    /// Sends back what comes, and closes after the peer.
    pub const ECHO: Conduct = Conduct { read: Read::Echo, ..Conduct::TAKE };
    /// Does nothing by itself.
    pub const IDLE: Conduct = Conduct { fin: When::Never, ..Conduct::TAKE };

    /// Sends a text, closes, and takes what comes.
    pub const fn send(len: usize) -> Conduct {
        Conduct { send: len, fin: When::AtOnce, ..Conduct::TAKE }
    }
}

/// What has happened to a connection so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub id: ConnId,
    pub is_up: bool,
    /// Octets that the connection took to be sent.
    pub sent: usize,
    pub received: usize,
    /// The first octet that is not the kernel's text.
    pub wrong_at: Option<usize>,
    /// Octets up to the end of urgent data, when it was announced.
    pub urgent: Option<u32>,
    pub peer_closed: bool,
    pub closed: Option<CloseReason>,
}

/// What all connections have seen, in the order in which they began.
pub type Log = Arc<Mutex<Vec<Seen>>>;

struct Job {
    conduct: Conduct,
    seen: Seen,
    has_closed: bool,
}

/// The application of one loop.
pub struct Peer {
    /// What is done with connections to each listener.
    listeners: Vec<Conduct>,
    jobs: Vec<Job>,
    /// The job of each slot.
    slots: Vec<Option<usize>>,
    log: Log,
    ours: Text,
    theirs: Text,
}

impl Peer {
    /// An application that sends the first of two texts and expects the second.
    pub fn new(slots: u32, listeners: Vec<Conduct>, log: Log, texts: [u64; 2]) -> Peer {
        let slots = vec![None; slots as usize];
        let [ours, theirs] = texts.map(Text::new);
        Peer { listeners, jobs: Vec::new(), slots, log, ours, theirs }
    }

    /// Says what is to be done with a connection that is being opened; returns its place in the log.
    pub fn begin(&mut self, id: ConnId, conduct: Conduct) -> usize {
        let seen = Seen {
            id,
            is_up: false,
            sent: 0,
            received: 0,
            wrong_at: None,
            urgent: None,
            peer_closed: false,
            closed: None,
        };
        let place = self.jobs.len();
        self.jobs.push(Job { conduct, seen, has_closed: false });
        self.slots[id.index as usize] = Some(place);
        self.log.lock().unwrap().push(seen);
        place
    }

    /// Changes what is done with what arrives from now on. To be followed by [`Conn::resume`].
    pub fn read(&mut self, place: usize, read: Read) {
        self.jobs[place].conduct.read = read;
    }

    fn place(&self, id: ConnId) -> usize {
        self.slots[id.index as usize].unwrap()
    }

    fn note(&mut self, id: ConnId, change: impl FnOnce(&mut Seen)) {
        let place = self.place(id);
        let job = &mut self.jobs[place];
        change(&mut job.seen);
        self.log.lock().unwrap()[place] = job.seen;
    }

    /// Sends and closes as far as that is possible now.
    fn work(&mut self, conn: &mut Conn<'_>) {
        let place = self.place(conn.id());
        let job = &mut self.jobs[place];
        let may = |when| match when {
            When::AtOnce => true,
            When::AfterPeer => job.seen.peer_closed,
            When::Never => false,
        };
        let (begins, ends) = (may(job.conduct.begin), may(job.conduct.fin));
        let before = job.seen.sent;
        while begins && job.seen.sent < job.conduct.send {
            let part = self.ours.from(job.seen.sent);
            let len = part.len().min(job.conduct.send - job.seen.sent);
            let taken = conn.send(&part[..len]);
            if taken == 0 {
                break;
            }
            job.seen.sent += taken;
        }
        let echoed = job.conduct.read != Read::Echo || conn.unread() == 0;
        if ends && job.seen.sent >= job.conduct.send && echoed && !job.has_closed {
            job.has_closed = true;
            conn.shutdown();
        }
        if job.seen.sent != before {
            self.note(conn.id(), |_| ());
        }
    }
}

impl App for Peer {
    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        self.note(conn.id(), |seen| seen.is_up = true);
        self.work(conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, listener: ListenerId) -> Accept {
        let conduct = self.listeners[usize::from(listener.0)];
        conn.set_nodelay(conduct.read == Read::Echo);
        self.begin(conn.id(), conduct);
        self.on_connected(conn);
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        let place = self.place(conn.id());
        let taken = match self.jobs[place].conduct.read {
            Read::Compare => data.len(),
            Read::Echo => conn.send(data),
            Read::Nothing => 0,
        };
        let at = self.jobs[place].seen.received;
        let wrong_at = self.theirs.differs(at, &data[..taken]);
        self.note(conn.id(), |seen| {
            seen.received += taken;
            seen.wrong_at = seen.wrong_at.or(wrong_at);
        });
        taken
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.work(conn);
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        self.note(conn.id(), |seen| seen.peer_closed = true);
        self.work(conn);
    }

    fn on_urgent(&mut self, conn: &mut Conn<'_>) {
        let urgent = conn.urgent();
        self.note(conn.id(), |seen| seen.urgent = urgent);
    }

    fn on_closed(&mut self, id: ConnId, reason: CloseReason) {
        self.note(id, |seen| seen.closed = Some(reason));
        self.slots[id.index as usize] = None;
    }
}
