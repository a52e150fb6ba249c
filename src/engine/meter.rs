//! Where the cycles of a pass go: the loop says when each stage ends, and whoever drives it reads a clock. No clock is
//! read here.

/// The stages of a pass, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Frames come from the devices.
    Rx,
    /// Headers are checked.
    Classify,
    /// Connections are looked up, ahead of their turn.
    Lookup,
    /// Segments and applications: arrivals and what they cause, callbacks, [`super::api::App::poll`].
    Process,
    /// Timers, TIME-WAIT, the accept queue, and all that is not TCP: ARP, ICMP, housekeeping.
    Timers,
    /// Segments are built.
    Pay,
    /// Frames go to the devices, and those that were received go back to their pools.
    Tx,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 7] =
        [Stage::Rx, Stage::Classify, Stage::Lookup, Stage::Process, Stage::Timers, Stage::Pay, Stage::Tx];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Rx => "rx",
            Stage::Classify => "classify",
            Stage::Lookup => "lookup",
            Stage::Process => "process",
            Stage::Timers => "timers",
            Stage::Pay => "pay",
            Stage::Tx => "tx",
        }
    }
}

/// Is told where a pass is.
pub trait Meter {
    /// A stage ends: what was done since the last call belongs to it. A stage may come several times in a pass, and
    /// one that had nothing to do may be left out.
    fn lap(&mut self, stage: Stage);
}

/// Measures nothing, and costs nothing.
impl Meter for () {
    #[inline(always)]
    fn lap(&mut self, _stage: Stage) {}
}
