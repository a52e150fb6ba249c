//! Small numbers that name things across layers.

/// One of the addresses that a shard owns, by number. Keys and records hold it instead of the address, so that
/// they are the same size for IPv4 and IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct LocalIdx(pub u16);

/// A place in the neighbour table, as a hint: whoever uses it confirms the address there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
#[repr(transparent)]
pub struct NeighbourIdx(pub u16);
