//! A connection's name inside a shard, in 12 bytes for both address families (see
//! `docs/decisions/0002-key-layout.md`).

use crate::base::hash::BlockHash;
use crate::base::ids::LocalIdx;

/// The endpoints of a connection: remote address and port, local address (by number) and port.
///
/// `remote` is the remote IPv4 address. (For IPv6 it will be the number of a remote address kept aside, and
/// the local number says which family it is: the size and all that handles keys stay as they are.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(C)]
pub struct Key {
    /// The remote address.
    pub remote: u32,
    /// The remote port.
    pub remote_port: u16,
    /// The local port.
    pub local_port: u16,
    /// The local address's number.
    pub local: LocalIdx,
}

const _: () = assert!(size_of::<Key>() == 12);

impl Key {
    /// The hash that places the key in the table. Keyed, because whoever chooses endpoints must not be able to
    /// choose places (ATK-21).
    #[inline(always)]
    pub fn hash(&self, secret: &BlockHash) -> u64 {
        //= ATK-21
        secret.hash(
            u128::from(self.remote)
                | u128::from(self.remote_port) << 32
                | u128::from(self.local_port) << 48
                | u128::from(self.local.0) << 64,
        )
    }
}
