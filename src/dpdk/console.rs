//! Keeps EAL's start off the terminal: its usage text on stdout cannot be switched off, and some of its lines
//! go to stderr past the log. Descriptors 1 and 2 lead to a file in memory for the duration of the call.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::log;

/// Stdout and stderr are kept away from the terminal while this lives.
pub(super) struct Quiet {
    saved: [OwnedFd; 2],
    file: File,
}

const STREAMS: [i32; 2] = [libc::STDOUT_FILENO, libc::STDERR_FILENO];

fn copy_of(descriptor: i32) -> Option<OwnedFd> {
    // SAFETY: fcntl looks at its arguments only; a wrong descriptor gives -1.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    // SAFETY: a descriptor that is not negative was opened just now and belongs to nobody else.
    (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Empties the buffers of both languages, so that text goes where the descriptors lead now.
fn flush() {
    let _ = std::io::stdout().flush();
    // SAFETY: with a null pointer all of C's output streams are flushed; nothing is passed.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

impl Quiet {
    /// Leads stdout and stderr away; `None`, and nothing is changed, where the system refuses.
    pub fn begin() -> Option<Quiet> {
        let saved = [copy_of(STREAMS[0])?, copy_of(STREAMS[1])?];
        // SAFETY: the name is a constant that ends in a zero byte.
        let memory = unsafe { libc::memfd_create(c"console".as_ptr(), libc::MFD_CLOEXEC) };
        if memory < 0 {
            return None;
        }
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(memory) };
        flush();
        log::set_terminal(saved[1].as_raw_fd());
        for stream in STREAMS {
            // SAFETY: both descriptors are open; the old meaning of `stream` is kept in `saved`.
            unsafe { libc::dup2(file.as_raw_fd(), stream) };
        }
        Some(Quiet { saved, file })
    }

    /// Gives the terminal back and returns what was written meanwhile.
    pub fn end(mut self) -> String {
        self.restore();
        let mut bytes = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut bytes));
        if read.is_err() {
            bytes.clear();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn restore(&self) {
        flush();
        for (saved, stream) in self.saved.iter().zip(STREAMS) {
            // SAFETY: both descriptors are open; `stream` gets back the meaning it had at the beginning.
            unsafe { libc::dup2(saved.as_raw_fd(), stream) };
        }
        log::set_terminal(libc::STDERR_FILENO);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.restore();
    }
}
