//! DPDK's log, caught before it reaches the terminal: the reason for a failure is in there and nowhere else.
//! The last lines are kept in a fixed array, since a driver may log at any time, on any thread, and nothing is
//! allocated once loops run.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dpdk_sys::dt_log_stream;

/// Lines that are kept.
const LINES: usize = 128;
/// Bytes of a line that are kept; the rest is cut.
const LINE_BYTES: usize = 240;
/// Levels as in `rte_log.h`; the smaller, the worse.
const LEVEL_CRITICAL: u32 = 3;
pub(super) const LEVEL_ERROR: u32 = 4;
pub(super) const LEVEL_WARNING: u32 = 5;

/// One line of DPDK's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// 1 (emergency) to 8 (debug).
    pub level: u32,
    /// The line without its end.
    pub text: String,
}

#[derive(Clone, Copy)]
struct Slot {
    level: u32,
    len: usize,
    bytes: [u8; LINE_BYTES],
}

struct Kept {
    slots: [Slot; LINES],
    /// Lines that were finished so far. The one that is being written has this number.
    finished: u64,
}

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { slots: [Slot { level: 0, len: 0, bytes: [0; LINE_BYTES] }; LINES], finished: 0 });

/// Where lines go that announce the end of the process.
static TERMINAL: AtomicI32 = AtomicI32::new(libc::STDERR_FILENO);

/// All lines go there, because somebody has asked for them.
static SHOWN: AtomicBool = AtomicBool::new(false);

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn current(&mut self) -> Option<&mut Slot> {
        let place = (self.finished % LINES as u64) as usize;
        self.slots.get_mut(place)
    }

    fn write(&mut self, level: u32, text: &[u8]) {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match piece.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (piece, false),
            };
            if let Some(slot) = self.current() {
                slot.level = level;
                let free = slot.bytes.get_mut(slot.len..).unwrap_or_default();
                let taken = line.len().min(free.len());
                for (to, from) in free.iter_mut().zip(line) {
                    *to = *from;
                }
                slot.len += taken;
            }
            if ended {
                self.finished += 1;
                if let Some(slot) = self.current() {
                    slot.len = 0;
                }
            }
        }
    }

    fn since(&self, mark: u64) -> Vec<Line> {
        let first = mark.max(self.finished.saturating_sub(LINES as u64 - 1));
        let slots =
            (first..self.finished).filter_map(|number| self.slots.get((number % LINES as u64) as usize));
        slots
            .map(|slot| {
                let bytes = slot.bytes.get(..slot.len).unwrap_or_default();
                Line { level: slot.level, text: String::from_utf8_lossy(bytes).trim_end().to_owned() }
            })
            .collect()
    }
}

/// Called by C for each piece of the log.
unsafe extern "C" fn sink(level: u32, text: *const libc::c_char, len: usize) {
    if text.is_null() || len == 0 {
        return;
    }
    // SAFETY: the stream passes the start and length of its own buffer, which nobody changes during the call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    // A critical line says that DPDK is about to abort: what is only kept would die with the process.
    if level <= LEVEL_CRITICAL || SHOWN.load(Ordering::Relaxed) {
        // SAFETY: writes `len` bytes that are valid, to a descriptor; a wrong descriptor only gives an error.
        let _ = unsafe { libc::write(TERMINAL.load(Ordering::Relaxed), text.cast(), len) };
    }
    kept().write(level, bytes);
}

/// Leads DPDK's log here for the rest of the process; `shown` copies it to the terminal as well. Where that
/// fails the log stays on stderr.
pub(super) fn capture(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
    // SAFETY: `sink` has the signature the shim declares and lives as long as the process. The stream is never
    // closed, so that DPDK may write to it at any time, its own end included.
    unsafe {
        let stream = dt_log_stream(Some(sink));
        if !stream.is_null() {
            dpdk_sys::rte_openlog_stream(stream);
        }
    }
}

/// Tells where lines that announce the end of the process are written: to stderr's descriptor, or its copy.
pub(super) fn set_terminal(descriptor: i32) {
    TERMINAL.store(descriptor, Ordering::Relaxed);
}

/// The present end of the log.
pub(super) fn mark() -> u64 {
    kept().finished
}

/// The lines written since `mark`, the oldest of them left out if there are too many.
pub(super) fn since(mark: u64) -> Vec<Line> {
    kept().since(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Box<Kept> {
        Box::new(Kept { slots: [Slot { level: 0, len: 0, bytes: [0; LINE_BYTES] }; LINES], finished: 0 })
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut kept = empty();
        kept.write(4, b"EAL: no ");
        kept.write(4, b"pages\nEAL: ");
        kept.write(6, b"done\n");
        let texts: Vec<_> = kept.since(0).into_iter().map(|line| (line.level, line.text)).collect();
        assert_eq!(texts, [(4, "EAL: no pages".to_owned()), (6, "EAL: done".to_owned())]);
        assert_eq!(kept.since(1).len(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut kept = empty();
        kept.write(4, &[b'x'; 3 * LINE_BYTES]);
        kept.write(4, b"y\nnext\n");
        let lines = kept.since(0);
        assert_eq!(lines[0].text.len(), LINE_BYTES);
        assert_eq!(lines[1].text, "next");
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let mut kept = empty();
        for number in 0..1_000 {
            kept.write(7, format!("line {number}\n").as_bytes());
        }
        let lines = kept.since(0);
        assert_eq!(lines.len(), LINES - 1);
        assert_eq!(lines.last().map(|line| line.text.as_str()), Some("line 999"));
    }
}
