//! The two messages of the control socket, 64 bytes each, little-endian.

use crate::Topic;
use crate::{ABI_MAJOR, ABI_MINOR};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const REQUEST: u32 = u32::from_le_bytes(*b"HJRQ");
const REPLY: u32 = u32::from_le_bytes(*b"HJRP");
/// Bytes of either message.
pub(super) const LEN: usize = 64;

/// Client to server: attach me to a topic.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Request {
    magic: u32,
    abi_major: u16,
    abi_minor: u16,
    /// Number of the topic.
    pub(super) topic: u16,
    /// Leases wanted at a time; 0: a tap.
    pub(super) quota: u16,
    reserved0: u32,
    reserved: [u64; 6],
}

/// Server to client, with the ring's descriptor and, for leases, the hazard page's.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Reply {
    magic: u32,
    abi_major: u16,
    abi_minor: u16,
    status: u16,
    /// Leases granted.
    pub(super) quota: u16,
    reserved0: u32,
    pub(super) generation: u64,
    pub(super) total_len: u64,
    reserved: [u64; 4],
}

const _: () = assert!(size_of::<Request>() == LEN && size_of::<Reply>() == LEN);

/// Answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u16)]
pub(crate) enum Status {
    #[error("attached")]
    Ok = 0,
    #[error("a malformed message")]
    Malformed = 1,
    #[error("the other side runs another ABI version: use the same release on both sides")]
    Version = 2,
    #[error("no such topic")]
    Topic = 3,
    #[error("this socket or user may tap, not lease")]
    Forbidden = 4,
    #[error("too many readers are attached")]
    Full = 5,
    #[error("the other side is out of memory or descriptors")]
    Resources = 6,
}

impl Request {
    pub(super) fn new(topic: Topic, quota: u16) -> Self {
        Self {
            magic: REQUEST,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            topic: topic.number(),
            quota,
            reserved0: 0,
            reserved: [0; 6],
        }
    }

    /// Checks bytes from a client.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let request = Self::read_from_bytes(bytes).map_err(|_| Status::Malformed)?;
        if request.magic != REQUEST {
            return Err(Status::Malformed);
        }
        if request.abi_major != ABI_MAJOR {
            return Err(Status::Version);
        }
        Ok(request)
    }
}

impl Reply {
    pub(super) fn new(status: Status, quota: u16, generation: u64, total_len: u64) -> Self {
        Self {
            magic: REPLY,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            status: status as u16,
            quota,
            reserved0: 0,
            generation,
            total_len,
            reserved: [0; 4],
        }
    }

    /// Checks bytes from a server.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let reply = Self::read_from_bytes(bytes).map_err(|_| Status::Malformed)?;
        if reply.magic != REPLY {
            return Err(Status::Malformed);
        }
        if reply.abi_major != ABI_MAJOR {
            return Err(Status::Version);
        }
        match reply.status {
            0 => Ok(reply),
            2 => Err(Status::Version),
            3 => Err(Status::Topic),
            4 => Err(Status::Forbidden),
            5 => Err(Status::Full),
            6 => Err(Status::Resources),
            _ => Err(Status::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
            let _ = Request::parse(&bytes);
            let _ = Reply::parse(&bytes);
        }
    }

    #[test]
    fn requests_are_checked() {
        let good = Request::new(Topic::new(3, "test"), 0);
        assert_eq!(Request::parse(good.as_bytes()).unwrap().topic, 3);
        assert_eq!(
            Request::parse(&good.as_bytes()[..63]).unwrap_err(),
            Status::Malformed
        );
        let other = Request {
            abi_major: 9,
            ..good
        };
        assert_eq!(
            Request::parse(other.as_bytes()).unwrap_err(),
            Status::Version
        );
        let reply = Reply::new(Status::Forbidden, 0, 0, 0);
        assert_eq!(
            Reply::parse(reply.as_bytes()).unwrap_err(),
            Status::Forbidden
        );
    }
}
