//! Socket options with which connections are made. What is left out is the kernel's affair, and costs no call.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4Tos, Ipv4Ttl, RcvBuf, TcpMaxSeg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, setsockopt, socket};
use thiserror::Error;

/// What sockets are told before they connect or listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Time to live of packets, from 1.
    pub ttl: Option<u8>,
    /// Diffserv codepoint of packets, 0 to 63.
    pub dscp: Option<u8>,
    /// Largest segment that is asked for, in octets.
    pub mss: Option<u16>,
    /// Receive buffer in octets, from which the window follows.
    pub receive_buffer: Option<u32>,
}

/// An option that the kernel does not take.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum OptionError {
    /// It refuses it, or has no socket left to try it with.
    #[error("the kernel does not take this {what}: {error}")]
    Refused {
        /// `time to live`, ...
        what: &'static str,
        /// What it said.
        error: Errno,
    },
    /// It has a limit, and would take less without a word.
    #[error(
        "the kernel has receive buffers of up to {most} octets, and {asked} were asked for: \
         raise net.core.rmem_max, or ask for less"
    )]
    ReceiveBuffer {
        /// Octets asked for.
        asked: u32,
        /// Octets that it gives.
        most: usize,
    },
}

impl Options {
    /// Sets them.
    ///
    /// # Errors
    /// What the kernel said, and about which.
    pub(super) fn set(&self, fd: &OwnedFd) -> Result<(), (&'static str, Errno)> {
        let about = |what| move |error| (what, error);
        if let Some(ttl) = self.ttl {
            setsockopt(fd, Ipv4Ttl, &i32::from(ttl)).map_err(about("time to live"))?;
        }
        if let Some(dscp) = self.dscp {
            // The two bits of ECN are TCP's own.
            setsockopt(fd, Ipv4Tos, &(i32::from(dscp) << 2)).map_err(about("Diffserv codepoint"))?;
        }
        if let Some(mss) = self.mss {
            setsockopt(fd, TcpMaxSeg, &u32::from(mss)).map_err(about("largest segment"))?;
        }
        if let Some(octets) = self.receive_buffer {
            setsockopt(fd, RcvBuf, &(octets as usize)).map_err(about("receive buffer"))?;
        }
        Ok(())
    }

    /// Whether the kernel takes them as they are.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), OptionError> {
        let refused = |(what, error)| OptionError::Refused { what, error };
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|error| refused(("socket", error)))?;
        self.set(&fd).map_err(refused)?;
        let Some(asked) = self.receive_buffer else { return Ok(()) };
        // It doubles what it is told, for its own records.
        let most = getsockopt(&fd, RcvBuf).map_err(|error| refused(("receive buffer", error)))? / 2;
        if most < asked as usize { Err(OptionError::ReceiveBuffer { asked, most }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_has_what_it_was_told() {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let options = Options { ttl: Some(3), dscp: Some(46), mss: Some(536), receive_buffer: Some(10_000) };
        options.set(&fd).unwrap();
        assert_eq!((getsockopt(&fd, Ipv4Ttl), getsockopt(&fd, Ipv4Tos)), (Ok(3), Ok(46 << 2)));
        assert_eq!(getsockopt(&fd, TcpMaxSeg), Ok(536));
        assert_eq!(getsockopt(&fd, RcvBuf), Ok(20_000));
        assert_eq!(options.check(), Ok(()));
    }

    #[test]
    fn what_the_kernel_does_not_take_is_named() {
        let refused = |options: Options| options.check().unwrap_err().to_string();
        let tiny = Options { mss: Some(1), ..Options::default() };
        assert!(refused(tiny).starts_with("the kernel does not take this largest segment: EINVAL"));
        let huge = Options { receive_buffer: Some(i32::MAX as u32), ..Options::default() };
        let sentence = refused(huge);
        assert!(sentence.contains("2147483647 were asked for: raise net.core.rmem_max"), "{sentence}");
        assert_eq!(Options::default().check(), Ok(()));
    }
}
