//! What went over a wire, in the classic pcap format (magic 0xa1b2c3d4, version 2.4, Ethernet), so that the
//! usual tools can show a simulation that went wrong. Kept in memory; whoever asked for it writes the file.

use crate::base::time::Instant;

const MAGIC: u32 = 0xa1b2_c3d4;
const SNAP_LEN: u32 = 65_535;
const LINK_ETHERNET: u32 = 1;

/// A capture in memory.
#[derive(Clone, Debug)]
pub struct Pcap {
    bytes: Vec<u8>,
}

impl Default for Pcap {
    fn default() -> Self {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([2, 0, 4, 0]);
        // Time zone and accuracy: always 0.
        bytes.extend([0; 8]);
        bytes.extend(SNAP_LEN.to_le_bytes());
        bytes.extend(LINK_ETHERNET.to_le_bytes());
        Pcap { bytes }
    }
}

impl Pcap {
    /// Adds a frame that was sent at `at`; what is longer than 65535 bytes is cut.
    pub fn record(&mut self, at: Instant, frame: &[u8]) {
        let kept = frame.get(..frame.len().min(SNAP_LEN as usize)).unwrap_or_default();
        let numbers = [
            (at.micros() / 1_000_000) as u32,
            (at.micros() % 1_000_000) as u32,
            kept.len() as u32,
            frame.len() as u32,
        ];
        for number in numbers {
            self.bytes.extend(number.to_le_bytes());
        }
        self.bytes.extend(kept);
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_a_header_and_a_record_for_each_frame() {
        let mut pcap = Pcap::default();
        assert_eq!(pcap.bytes().len(), 24);
        assert_eq!(&pcap.bytes()[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(&pcap.bytes()[16..], [0xff, 0xff, 0, 0, 1, 0, 0, 0]);
        pcap.record(Instant(3_000_007), b"frame");
        let record = [3, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0];
        assert_eq!(&pcap.bytes()[24..], [&record[..], b"frame"].concat());
    }
}
