//! The floor: what a device and its frames cost when two loops only move them. The frames of whole conversations go
//! to and fro with the lengths that they have on the wire, and nobody looks at more than their first line, so that
//! the difference to a real run over the same device is the stack's.
//!
//! A conversation's number and step travel in its frames; there is no state for one. The device must lose nothing:
//! a conversation whose frame is lost stays open for ever.

use thiserror::Error;

use crate::base::burst::{BURST_MAX, Burst};
use crate::link::{Frame, QueuePair};
use crate::wire::ethernet::{self, Mac};

/// Frames of one side of an exchange at most, and frames that the client sends in a row at most.
pub const STEPS_MAX: usize = 32;
/// Set aside for local experiments (IEEE 802): no host takes it for its own.
const ETHERTYPE: u16 = 0x88b5;
/// Ethernet header, the conversation's number in eight bytes and its step in two.
const HEAD: usize = ethernet::HEADER_LEN + 10;

/// Lengths in bytes of the frames of one conversation, Ethernet header included. Frame `i` of the server answers
/// frame `i` of the client; one of length 0, or one that is not there, is no answer, and the client sends its next
/// frame at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange<'a> {
    /// Frames of the client: 1 to [`STEPS_MAX`].
    pub client: &'a [u16],
    /// Frames of the server, of which there are no more than of the client.
    pub server: &'a [u16],
}

/// What both sides are to do; they must be told the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan<'a> {
    /// One conversation.
    pub exchange: Exchange<'a>,
    /// Conversations that are open at once, as long as there are enough frames; at least 1.
    pub in_flight: u32,
    /// Conversations in all.
    pub conversations: u64,
    /// Frames that one call receives at most; 1 to 64.
    pub burst: usize,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PlanError {
    /// Too few or too many frames of the client.
    #[error("an exchange has 1 to {STEPS_MAX} frames of the client, not {0}")]
    Steps(usize),
    /// The server has more to say than it is asked.
    #[error("{0} frames of the server answer only {1} of the client")]
    Answers(usize, usize),
    /// Nothing paces the client.
    #[error("the server answers nothing")]
    NoAnswer,
    /// A length that the device does not carry, or that has no room for a conversation's number.
    #[error("a frame of {0} bytes; the device carries {HEAD} to {1}")]
    Length(u16, usize),
    /// A burst of none, or of more than a burst.
    #[error("bursts are of 1 to {BURST_MAX} frames, not {0}")]
    Burst(usize),
    /// No conversation may be open.
    #[error("at least one conversation must be in flight")]
    NoneInFlight,
}

impl Plan<'_> {
    /// Whether both sides can carry it out over devices with this MTU in bytes.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self, mtu: u16) -> Result<(), PlanError> {
        let Exchange { client, server } = self.exchange;
        let most = usize::from(mtu) + ethernet::HEADER_LEN;
        if !(1..=STEPS_MAX).contains(&client.len()) {
            return Err(PlanError::Steps(client.len()));
        }
        if server.len() > client.len() {
            return Err(PlanError::Answers(server.len(), client.len()));
        }
        if server.iter().all(|len| *len == 0) {
            return Err(PlanError::NoAnswer);
        }
        let mut lengths = client.iter().chain(server.iter().filter(|len| **len != 0));
        if let Some(len) = lengths.find(|len| !(HEAD..=most).contains(&usize::from(**len))) {
            return Err(PlanError::Length(*len, most));
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return Err(PlanError::Burst(self.burst));
        }
        if self.in_flight == 0 { Err(PlanError::NoneInFlight) } else { Ok(()) }
    }
}

/// Where in which conversation a frame stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    conversation: u64,
    step: usize,
}

impl Place {
    /// What a frame says; `None` for a frame that is none of ours.
    fn of(frame: &[u8]) -> Option<Place> {
        let (header, rest) = ethernet::parse(frame)?;
        let (number, rest) = rest.split_first_chunk()?;
        let (step, _) = rest.split_first_chunk()?;
        let place =
            Place { conversation: u64::from_be_bytes(*number), step: usize::from(u16::from_be_bytes(*step)) };
        (header.ethertype == ETHERTYPE).then_some(place)
    }
}

/// What both sides have.
struct Side<Q: QueuePair> {
    queue: Q,
    header: [u8; ethernet::HEADER_LEN],
    burst: usize,
    /// What waits to be sent.
    tx: Burst<Q::Frame>,
    received: u64,
    strangers: u64,
}

impl<Q: QueuePair> Side<Q> {
    fn new(queue: Q, peer: Mac, burst: usize) -> Self {
        let mut header = [0; ethernet::HEADER_LEN];
        ethernet::emit(&mut header, peer, Mac(queue.caps().mac), ETHERTYPE);
        Side { queue, header, burst, tx: Burst::new(), received: 0, strangers: 0 }
    }

    fn receive(&mut self, limit: usize) -> Burst<Q::Frame> {
        let mut frames = Burst::new();
        self.queue.rx_burst(&mut frames, limit);
        frames
    }

    /// The place of a frame that was received.
    fn place(&mut self, frame: &Q::Frame) -> Option<Place> {
        let place = Place::of(frame.bytes());
        self.received += u64::from(place.is_some());
        self.strangers += u64::from(place.is_none());
        place
    }

    /// Makes a frame one of this side's, of `len` bytes; there is room for it among those that wait.
    fn send(&mut self, mut frame: Q::Frame, len: u16, place: Place) {
        frame.reset();
        frame.set_len(usize::from(len));
        if let Some(head) = frame.bytes_mut().first_chunk_mut::<HEAD>() {
            head[..14].copy_from_slice(&self.header);
            head[14..22].copy_from_slice(&place.conversation.to_be_bytes());
            head[22..].copy_from_slice(&(place.step as u16).to_be_bytes());
        }
        if let Err(refused) = self.tx.try_push(frame) {
            self.queue.recycle(refused.element());
        }
    }

    /// Hands what waits to the device; says how many frames it took.
    fn transmit(&mut self) -> usize {
        let before = self.tx.len();
        if before > 0 {
            self.queue.tx_burst(&mut self.tx);
        }
        before - self.tx.len()
    }

    fn into_queue(mut self) -> Q {
        for frame in self.tx.drain(..) {
            self.queue.recycle(frame);
        }
        self.queue
    }
}

/// A frame of the client.
#[derive(Clone, Copy)]
struct Step {
    len: u16,
    answered: bool,
}

/// The side that begins conversations.
pub struct Client<Q: QueuePair> {
    side: Side<Q>,
    steps: Box<[Step]>,
    /// Most frames that are sent in a row, from one answer to the next.
    run_max: usize,
    /// Fresh frames, so that it is known before an answer is received whether what follows can be sent.
    spare: Burst<Q::Frame>,
    in_flight: u32,
    open: u32,
    conversations: u64,
    started: u64,
    done: u64,
}

impl<Q: QueuePair> Client<Q> {
    /// A client of the server whose device has the address `peer`.
    ///
    /// # Errors
    /// The plan cannot be carried out over this device.
    pub fn new(queue: Q, peer: Mac, plan: Plan<'_>) -> Result<Self, PlanError> {
        plan.check(queue.caps().mtu)?;
        let Exchange { client, server } = plan.exchange;
        let answers = server.iter().copied().chain(std::iter::repeat(0));
        let steps = client.iter().zip(answers).map(|(len, answer)| Step { len: *len, answered: answer != 0 });
        let steps: Box<[Step]> = steps.collect();
        Ok(Client {
            side: Side::new(queue, peer, plan.burst),
            run_max: longest_run(&steps),
            steps,
            spare: Burst::new(),
            in_flight: plan.in_flight,
            open: 0,
            conversations: plan.conversations,
            started: 0,
            done: 0,
        })
    }

    /// Receives a burst of answers, sends what follows them, and begins conversations where there are too few.
    /// Returns how many frames were moved, received and sent ones together.
    pub fn pass(&mut self) -> usize {
        let mut moved = self.side.transmit();
        let mut runs = self.runs();
        let frames = self.side.receive(runs.min(self.side.burst));
        moved += frames.len();
        runs -= frames.len().min(runs);
        for frame in frames {
            let answered = |place: &Place| self.steps.get(place.step).is_some_and(|step| step.answered);
            match self.side.place(&frame).filter(answered) {
                Some(place) => self.send_run(Some(frame), Place { step: place.step + 1, ..place }),
                None => self.side.queue.recycle(frame),
            }
        }
        // A run's frames are kept back: without them no answer could be received.
        while self.open < self.in_flight && runs > 0 && self.spare.len() >= 2 * self.run_max {
            let Some(place) = self.begin() else { break };
            self.open += 1;
            runs -= 1;
            self.send_run(None, place);
        }
        moved + self.side.transmit()
    }

    /// How many answers can be followed now: there is a frame for all that follows each, and a place to wait in.
    fn runs(&mut self) -> usize {
        let room = self.side.tx.remaining_capacity();
        let wanted = (self.side.burst.max(2) * self.run_max).min(self.spare.capacity());
        while self.spare.len() < wanted {
            let Some(frame) = self.side.queue.alloc() else { break };
            self.spare.push(frame);
        }
        room.min(self.spare.len()) / self.run_max
    }

    /// A new conversation, if there is one left.
    fn begin(&mut self) -> Option<Place> {
        let place = Place { conversation: self.started, step: 0 };
        self.started += u64::from(self.started < self.conversations);
        (self.started > place.conversation).then_some(place)
    }

    /// Sends frames from a place on up to one that is answered, the first of them in the frame that was received.
    /// Behind the end of a conversation another one begins.
    fn send_run(&mut self, mut received: Option<Q::Frame>, mut place: Place) {
        loop {
            let Some(step) = self.steps.get(place.step).copied() else {
                self.done += 1;
                match self.begin() {
                    Some(next) => place = next,
                    None => {
                        self.open -= 1;
                        break;
                    }
                }
                continue;
            };
            let Some(frame) = received.take().or_else(|| self.spare.pop()) else { break };
            self.side.send(frame, step.len, place);
            if step.answered {
                break;
            }
            place.step += 1;
        }
        if let Some(frame) = received {
            self.side.queue.recycle(frame);
        }
    }

    /// Conversations whose last frame was sent or, where it is answered, whose last answer was received.
    pub fn conversations_done(&self) -> u64 {
        self.done
    }

    /// All conversations are over, and the device has all their frames.
    pub fn is_done(&self) -> bool {
        self.done == self.conversations && self.side.tx.is_empty()
    }

    /// Frames that were received and that no floor sent.
    pub fn strangers(&self) -> u64 {
        self.side.strangers
    }

    /// Gives up all frames and the queue.
    pub fn into_queue(mut self) -> Q {
        for frame in self.spare.drain(..) {
            self.side.queue.recycle(frame);
        }
        self.side.into_queue()
    }
}

/// Most frames from behind one that is answered up to the next one, over the end of a conversation if need be.
fn longest_run(steps: &[Step]) -> usize {
    let mut longest = 0;
    let mut run = 0;
    // Twice around, so that the run over the end is seen whole.
    for step in steps.iter().chain(steps) {
        run += 1;
        longest = longest.max(run);
        if step.answered {
            run = 0;
        }
    }
    longest.min(steps.len())
}

/// The side that answers.
pub struct Server<Q: QueuePair> {
    side: Side<Q>,
    answers: Box<[u16]>,
    /// Frames that will have come when all is over.
    expected: u64,
}

impl<Q: QueuePair> Server<Q> {
    /// A server of the client whose device has the address `peer`.
    ///
    /// # Errors
    /// The plan cannot be carried out over this device.
    pub fn new(queue: Q, peer: Mac, plan: Plan<'_>) -> Result<Self, PlanError> {
        plan.check(queue.caps().mtu)?;
        let Exchange { client, server } = plan.exchange;
        Ok(Server {
            side: Side::new(queue, peer, plan.burst),
            answers: server.into(),
            expected: plan.conversations.saturating_mul(client.len() as u64),
        })
    }

    /// Receives a burst and answers it. Returns how many frames were moved, received and sent ones together.
    pub fn pass(&mut self) -> usize {
        let mut moved = self.side.transmit();
        let room = self.side.tx.remaining_capacity();
        let frames = self.side.receive(room.min(self.side.burst));
        moved += frames.len();
        for frame in frames {
            let place = self.side.place(&frame);
            let answer = place.and_then(|place| self.answers.get(place.step)).copied().unwrap_or(0);
            match place {
                Some(place) if answer != 0 => self.side.send(frame, answer, place),
                _ => self.side.queue.recycle(frame),
            }
        }
        moved + self.side.transmit()
    }

    /// All frames of all conversations have come, and the device has all answers.
    pub fn is_done(&self) -> bool {
        self.side.received == self.expected && self.side.tx.is_empty()
    }

    /// Frames that were received and that no floor sent.
    pub fn strangers(&self) -> u64 {
        self.side.strangers
    }

    /// Gives up all frames and the queue.
    pub fn into_queue(self) -> Q {
        self.side.into_queue()
    }
}

#[cfg(test)]
mod tests;
