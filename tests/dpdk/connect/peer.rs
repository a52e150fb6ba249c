//! A plain server on the kernel's sockets, a thread for each connection, that keeps its own account: who connected to
//! what, how each connection ended as this end saw it, and how many there were at a time.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lab;
use crate::socket::{self, Dial};

/// Octets of a request where the client is told nothing else, and of an answer to it.
pub const REQUEST: usize = 64;
pub const ANSWER: usize = 200;
/// How long a slow server thinks.
pub const SLOW: Duration = Duration::from_millis(20);

/// How a connection ended, as this end saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum End {
    /// The other end closed first, by FIN.
    TheirFin,
    /// This end closed first, and the other end's FIN came.
    OurFin,
    /// The other end reset it.
    TheirReset,
    /// This end reset it.
    OurReset,
    /// It was still open when the server was stopped.
    Left,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub end: End,
    /// Octets received.
    pub octets: u64,
}

/// What a server does with each of its connections, to the end.
pub type Service = fn(&mut Line) -> io::Result<End>;

#[derive(Default)]
struct Book {
    seen: Vec<Seen>,
    open: HashMap<u64, TcpStream>,
    accepted: u64,
    /// Connections now whose end has not begun, and the most there ever were.
    level: usize,
    most: usize,
    /// The server ends what is left.
    cut: bool,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    book: Mutex<Book>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, as a service sees it.
pub struct Line {
    stream: TcpStream,
    shared: Arc<Shared>,
    octets: u64,
    counted: bool,
}

/// The server; it goes with the test.
pub struct Server {
    shared: Arc<Shared>,
    ports: Vec<u16>,
    acceptors: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves these ports of all addresses of this thread's namespace.
    #[track_caller]
    pub fn start(ports: &[u16], service: Service) -> Server {
        let shared = Arc::new(Shared::default());
        let acceptors = ports.iter().map(|port| {
            let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
            let mut listener = socket::listen(at, Dial::default(), 4_096);
            // A process that another test begins at this moment has the last listener's handle for a while too.
            lab::wait_until("the port", || {
                if listener.is_err() {
                    listener = socket::listen(at, Dial::default(), 4_096);
                }
                listener.is_ok()
            });
            let listener = listener.unwrap();
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared, service))
        });
        let acceptors = acceptors.collect();
        Server { shared, ports: ports.to_vec(), acceptors }
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.book().accepted
    }

    /// Connections now.
    pub fn level(&self) -> usize {
        self.shared.book().level
    }

    /// The most that there were at a time.
    pub fn most(&self) -> usize {
        self.shared.book().most
    }

    /// Stops listening and resets what is open, as a server that is killed.
    pub fn kill(mut self) {
        self.close();
        for stream in self.shared.book().open.values() {
            socket::reset_on_close(stream);
        }
        // No FIN goes before the reset.
        self.cut(Shutdown::Read);
    }

    /// Waits until all but `left` connections have ended, and then ends those. What was seen of all.
    #[track_caller]
    pub fn stop(mut self, left: usize) -> Vec<Seen> {
        self.close();
        lab::wait_until("the ends of the server's connections", || self.shared.book().open.len() <= left);
        self.cut(Shutdown::Both);
        std::mem::take(&mut self.shared.book().seen)
    }

    fn close(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for port in self.ports.drain(..) {
            // Wakes the acceptor up, so that it sees that it is to stop.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        }
        self.acceptors.drain(..).for_each(|thread| thread.join().unwrap());
    }

    fn cut(&self, how: Shutdown) {
        let threads = {
            let mut book = self.shared.book();
            book.cut = true;
            for stream in book.open.values() {
                // The thread that reads from it wakes up. One that has ended meanwhile needs none.
                let _ = stream.shutdown(how);
            }
            std::mem::take(&mut book.threads)
        };
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ports.is_empty() {
            self.close();
            self.cut(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, service: Service) {
    for number in 0.. {
        let Ok((stream, from)) = listener.accept() else { return };
        // What waited before the call that wakes it up is still accepted: a client that resets does not wait for that.
        if shared.stop.load(Ordering::SeqCst) && from.ip().is_loopback() {
            return;
        }
        let to = stream.local_addr().unwrap();
        let key = u64::from(to.port()) << 32 | number;
        let mut book = shared.book();
        book.accepted += 1;
        book.level += 1;
        book.most = book.most.max(book.level);
        book.open.insert(key, stream.try_clone().unwrap());
        let mut line = Line { stream, shared: shared.clone(), octets: 0, counted: true };
        book.threads.push(thread::spawn(move || {
            let result = service(&mut line);
            line.leave();
            let end = match result {
                _ if line.was_cut() => End::Left,
                Ok(end) => end,
                Err(error) if is_reset(&error) => End::TheirReset,
                Err(error) => panic!("a service of the test: {error}"),
            };
            let Line { stream, shared, octets, .. } = line;
            let mut book = shared.book();
            book.seen.push(Seen { from, to, end, octets });
            // With the other handle the socket is closed.
            drop(stream);
            book.open.remove(&key);
        }));
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected)
}

impl Line {
    /// Octets, at least one; 0 behind the other end's FIN.
    pub fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(place)?;
        self.octets += count as u64;
        Ok(count)
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// Reads up to the other end's FIN.
    pub fn read_to_end(&mut self) -> io::Result<()> {
        let mut place = vec![0; 64 << 10];
        while self.read(&mut place)? > 0 {}
        Ok(())
    }

    /// Reads so many octets; false where the other end closes before the first of them.
    fn read_request(&mut self, place: &mut [u8]) -> io::Result<bool> {
        let mut got = 0;
        while got < place.len() {
            match self.read(&mut place[got..])? {
                0 if got == 0 => return Ok(false),
                0 => panic!("a request of {got} octets instead of {}", place.len()),
                count => got += count,
            }
        }
        Ok(true)
    }

    /// The end has begun: it is not counted among those that there are at a time any more.
    pub fn leave(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.shared.book().level -= 1;
        }
    }

    /// Closes this direction first, and waits for the other end to close its own.
    pub fn close_first(&mut self) -> io::Result<End> {
        self.leave();
        self.stream.shutdown(Shutdown::Write)?;
        self.read_to_end()?;
        Ok(End::OurFin)
    }

    fn reset(&mut self) -> End {
        socket::reset_on_close(&self.stream);
        End::OurReset
    }

    /// The server ended it, rather than the other end.
    fn was_cut(&self) -> bool {
        self.shared.book().cut
    }
}

/// What comes goes back.
pub fn echo(line: &mut Line) -> io::Result<End> {
    echo_after(line, Duration::ZERO)
}

/// The same, a while later.
pub fn slow_echo(line: &mut Line) -> io::Result<End> {
    echo_after(line, SLOW)
}

fn echo_after(line: &mut Line, pause: Duration) -> io::Result<End> {
    let mut place = vec![0; 64 << 10];
    loop {
        let count = line.read(&mut place)?;
        if count == 0 {
            return Ok(End::TheirFin);
        }
        thread::sleep(pause);
        line.write(&place[..count])?;
    }
}

/// Nothing is ever said.
pub fn discard(line: &mut Line) -> io::Result<End> {
    line.read_to_end()?;
    Ok(End::TheirFin)
}

/// Says more than anybody wants, until the other end closes.
pub fn chargen(line: &mut Line) -> io::Result<End> {
    let reader = line.stream.try_clone()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = scope.spawn(|| {
            let mut place = [0; 4_096];
            let end = loop {
                match (&reader).read(&mut place) {
                    Ok(0) => break Ok(End::TheirFin),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            over.store(true, Ordering::SeqCst);
            end
        });
        let text = [b'c'; 4_096];
        let mut written = Ok(());
        while written.is_ok() && !over.load(Ordering::SeqCst) {
            written = line.write(&text);
        }
        // A reset shows here or there, and only once.
        let end = end.join().unwrap();
        written.and(end)
    })
}

/// Answers each request.
pub fn answer(line: &mut Line) -> io::Result<End> {
    let mut request = [0; REQUEST];
    while line.read_request(&mut request)? {
        line.write(&[b'a'; ANSWER])?;
    }
    Ok(End::TheirFin)
}

/// Answers a request and closes.
pub fn answer_and_close(line: &mut Line) -> io::Result<End> {
    let mut request = [0; REQUEST];
    if line.read_request(&mut request)? {
        line.write(&[b'a'; ANSWER])?;
    }
    line.close_first()
}

/// Answers when the other end has closed its direction.
pub fn answer_behind_the_end(line: &mut Line) -> io::Result<End> {
    line.read_to_end()?;
    line.write(&[b'a'; ANSWER])?;
    Ok(End::TheirFin)
}

/// Closes at once.
pub fn close(line: &mut Line) -> io::Result<End> {
    line.close_first()
}

/// Resets when the request has come.
pub fn reset(line: &mut Line) -> io::Result<End> {
    let mut request = [0; REQUEST];
    line.read_request(&mut request)?;
    Ok(line.reset())
}

/// Closes in the middle of the answer.
pub fn stop_short(line: &mut Line) -> io::Result<End> {
    let mut request = [0; REQUEST];
    line.read_request(&mut request)?;
    line.write(&[b'a'; ANSWER / 2])?;
    line.close_first()
}

/// Says what nobody sent.
pub fn lie(line: &mut Line) -> io::Result<End> {
    let mut request = [0; REQUEST];
    line.read_request(&mut request)?;
    request[REQUEST - 1] ^= 1;
    line.write(&request)?;
    line.read_to_end()?;
    Ok(End::TheirFin)
}

/// HTTP with a length, kept open unless the client wants it closed.
pub fn http(line: &mut Line) -> io::Result<End> {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let mut head = Vec::new();
    let mut place = [0; 4_096];
    loop {
        match line.read(&mut place)? {
            0 => return Ok(End::TheirFin),
            count => head.extend(&place[..count]),
        }
        if head.ends_with(b"\r\n\r\n") {
            line.write(RESPONSE)?;
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap().to_lowercase();
            if text.contains("connection: close") {
                return line.close_first();
            }
        }
    }
}

/// HTTP whose body ends with the connection.
pub fn http_to_the_end(line: &mut Line) -> io::Result<End> {
    line.read(&mut [0; 4_096])?;
    line.write(b"HTTP/1.0 200 OK\r\n\r\nhello, and so on")?;
    line.close_first()
}

/// No HTTP at all, and then a reset.
pub fn garbage(line: &mut Line) -> io::Result<End> {
    line.read(&mut [0; 4_096])?;
    line.write(&[0xff, 0, b'\r', b'\n', 0x80].repeat(300))?;
    Ok(line.reset())
}
