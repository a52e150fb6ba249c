//! What a client's SYN offers, as options: with them other clients are imitated. Time to live and Diffserv codepoint
//! are every command's (`config::stack`).

use thiserror::Error;

use super::ConfigError;
use super::bounds::{Bounds, Notation};
use super::units::size_text;

/// The largest shift (RFC 7323 2.2).
pub const SHIFT_MAX: u8 = 14;
/// The largest window: a little below a gigabyte.
pub const WINDOW_MAX: u32 = 65_535 << SHIFT_MAX;
const WINDOW_DEFAULT: u32 = 256 << 10;

/// Offers that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ImitateError {
    /// The window does not fit behind its shift.
    #[error(
        "--window {} is more than --wscale lets be said, at most {}; give a smaller window or a larger shift",
        size_text(u64::from(*.window)),
        size_text(u64::from(*.most))
    )]
    Window {
        /// What was asked for.
        window: u32,
        /// What the shift allows.
        most: u32,
    },
    /// Segments that do not fit into packets.
    #[error("--mss {mss} does not fit into packets of --mtu {mtu}; give at most {}", .mtu - 40)]
    Mss {
        /// What was asked for.
        mss: u16,
        /// Largest IP packet in bytes.
        mtu: u16,
    },
}

/// How the window's scale is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wscale {
    /// The smallest shift for the window.
    #[default]
    Fitting,
    /// This shift, 0 to [`SHIFT_MAX`].
    Shift(u8),
    /// No option.
    No,
}

/// What a SYN offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Imitate {
    /// `--mss`: largest segment that is wanted; what the MTU allows without it.
    pub mss: Option<u16>,
    /// `--window`: the receive buffer in octets, at most [`WINDOW_MAX`] and what `wscale` lets be said.
    pub window: u32,
    /// `--window` was given: another TCP than ours keeps its own where it was not.
    pub window_given: bool,
    /// `--wscale`.
    pub wscale: Wscale,
    /// Timestamps; off by `--no-timestamps`.
    pub timestamps: bool,
    /// SACK; off by `--no-sack`.
    pub sack: bool,
    /// `--ecn`: ECN is asked for.
    pub ecn: bool,
}

impl Default for Imitate {
    fn default() -> Self {
        Imitate {
            mss: None,
            window: WINDOW_DEFAULT,
            window_given: false,
            wscale: Wscale::Fitting,
            timestamps: true,
            sack: true,
            ecn: false,
        }
    }
}

impl Imitate {
    /// With a window and its scale; without a window one of 256 KiB, or as much as the scale lets be said.
    ///
    /// # Errors
    /// The window is larger than the scale lets be said.
    pub fn with_window(self, window: Option<u32>, wscale: Wscale) -> Result<Self, ConfigError> {
        let most = match wscale {
            Wscale::Fitting => WINDOW_MAX,
            Wscale::Shift(shift) => 65_535 << shift.min(SHIFT_MAX),
            Wscale::No => 65_535,
        };
        match window {
            Some(window) if window > most => Err(ImitateError::Window { window, most }.into()),
            _ => Ok(Imitate {
                window: window.unwrap_or(WINDOW_DEFAULT.min(most)),
                window_given: window.is_some(),
                wscale,
                ..self
            }),
        }
    }

    /// Sees that segments fit into packets.
    ///
    /// # Errors
    /// They do not.
    pub fn check_mtu(&self, mtu: u16) -> Result<(), ConfigError> {
        match self.mss {
            Some(mss) if mss > mtu.saturating_sub(40) => Err(ImitateError::Mss { mss, mtu }.into()),
            _ => Ok(()),
        }
    }
}

/// Below 64 octets of data a packet is mostly headers; 8960 fill packets of 9000 (--mtu).
const MSS: Bounds = Bounds::of("the largest segment", Notation::Count, 64, 8_960, "1460");
const WINDOW: Bounds = Bounds::of("the window", Notation::Size, 1 << 10, 1 << 30, "256k");
const WSCALE: Bounds = Bounds::of("the window's shift", Notation::Count, 0, SHIFT_MAX as u64, "7")
    .because(", or none to leave the option out");

/// Reads `--mss`, 64 to 8960 octets.
///
/// # Errors
/// Not a count, or out of range.
pub fn mss(text: &str) -> Result<u16, ConfigError> {
    MSS.read(text)
}

/// Reads `--window`, 1 KiB to 1 GiB; what is beyond [`WINDOW_MAX`] is that.
///
/// # Errors
/// Not a size, or out of range.
pub fn window(text: &str) -> Result<u32, ConfigError> {
    WINDOW.read::<u32>(text).map(|window| window.min(WINDOW_MAX))
}

/// Reads `--wscale`: 0 to 14, or `none`.
///
/// # Errors
/// Neither.
pub fn wscale(text: &str) -> Result<Wscale, ConfigError> {
    if text == "none" { Ok(Wscale::No) } else { WSCALE.read(text).map(Wscale::Shift) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fits_behind_its_shift() {
        let with = |window, wscale| {
            Imitate::default().with_window(window, wscale).map(|i| i.window).map_err(|e| e.to_string())
        };
        assert_eq!(with(None, Wscale::Fitting), Ok(256 << 10));
        assert_eq!(with(None, Wscale::No), Ok(65_535));
        assert_eq!(with(None, Wscale::Shift(1)), Ok(131_070));
        assert_eq!(with(Some(1 << 20), Wscale::Shift(7)), Ok(1 << 20));
        assert_eq!(with(Some(WINDOW_MAX), Wscale::Fitting), Ok(WINDOW_MAX));
        let error = with(Some(1 << 20), Wscale::No).unwrap_err();
        assert!(error.contains("--window 1M is more than --wscale lets be said, at most 65535"), "{error}");
    }

    #[test]
    fn segments_fit_into_packets() {
        let with = |mss| Imitate { mss: Some(mss), ..Imitate::default() };
        assert_eq!(with(1_460).check_mtu(1_500), Ok(()));
        let error = with(1_461).check_mtu(1_500).unwrap_err().to_string();
        assert!(
            error.contains("--mss 1461 does not fit into packets of --mtu 1500; give at most 1460"),
            "{error}"
        );
    }

    #[test]
    fn offers_have_ranges() {
        assert_eq!((mss("64"), window("1G"), wscale("14")), (Ok(64), Ok(WINDOW_MAX), Ok(Wscale::Shift(14))));
        assert_eq!((window("1k"), wscale("none")), (Ok(1 << 10), Ok(Wscale::No)));
        for (error, part) in [
            (mss("63").unwrap_err(), "64 to 8960"),
            (mss("8961").unwrap_err(), "64 to 8960"),
            (window("2G").unwrap_err(), "1k to 1G"),
            (wscale("15").unwrap_err(), "0 to 14, or none to leave the option out"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
