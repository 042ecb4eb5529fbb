//! The control sockets as docs/abi.md has them, spoken by hand.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

pub const FRAMES: u16 = 1;
pub const DETECTIONS: u16 = 2;
pub const STATS: u16 = 3;

/// Statuses of a reply.
pub const ATTACHED: u16 = 0;
pub const MALFORMED: u16 = 1;
pub const VERSION: u16 = 2;
pub const NO_TOPIC: u16 = 3;
pub const FORBIDDEN: u16 = 4;
pub const FULL: u16 = 5;

pub type Message = [u8; 64];

/// A request as it should be.
pub fn request(topic: u16, quota: u16) -> Message {
    let mut m = [0; 64];
    m[..4].copy_from_slice(b"HJRQ");
    m[4..6].copy_from_slice(&1u16.to_le_bytes());
    m[8..10].copy_from_slice(&topic.to_le_bytes());
    m[10..12].copy_from_slice(&quota.to_le_bytes());
    m
}

/// A reply as it should be.
pub fn reply(status: u16, quota: u16, generation: u64, total_len: u64) -> Message {
    let mut m = [0; 64];
    m[..4].copy_from_slice(b"HJRP");
    m[4..6].copy_from_slice(&1u16.to_le_bytes());
    m[8..10].copy_from_slice(&status.to_le_bytes());
    m[10..12].copy_from_slice(&quota.to_le_bytes());
    m[16..24].copy_from_slice(&generation.to_le_bytes());
    m[24..32].copy_from_slice(&total_len.to_le_bytes());
    m
}

fn socket() -> OwnedFd {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket")
}

/// A connection; the other side may not have accepted it yet.
pub fn connect(path: &Path) -> OwnedFd {
    let (fd, address) = (socket(), SocketAddrUnix::new(path).expect("a short path"));
    rustix::net::connect(&fd, &address).expect("somebody listens");
    fd
}

pub fn listen(path: &Path) -> OwnedFd {
    let (fd, address) = (socket(), SocketAddrUnix::new(path).expect("a short path"));
    rustix::net::bind(&fd, &address).expect("a free path");
    rustix::net::listen(&fd, 16).expect("listening");
    fd
}

/// Sends bytes and descriptors; false: the other side has hung up.
pub fn send(fd: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(fds)));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(fd, &[IoSlice::new(bytes)], &mut ancillary, flags).is_ok()
}

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    Reply {
        status: u16,
        quota: u16,
        fds: Vec<OwnedFd>,
    },
    HungUp,
    Silence,
}

impl Answer {
    /// The reply's status.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Reply { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Quota and descriptors of a successful reply.
    pub fn attached(self) -> (u16, Vec<OwnedFd>) {
        match self {
            Self::Reply {
                status: ATTACHED,
                quota,
                fds,
            } => (quota, fds),
            other => panic!("not attached: {other:?}"),
        }
    }
}

/// Whether there is something to read, a hang-up included.
pub fn readable(fd: &OwnedFd, within: Duration) -> bool {
    let timeout = Timespec::try_from(within).expect("a time-out");
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).expect("poll") > 0
}

/// Waits for the reply.
pub fn answer(fd: &OwnedFd, within: Duration) -> Answer {
    if !readable(fd, within) {
        return Answer::Silence;
    }
    let mut bytes = [0; 65];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let Ok(got) = rustix::net::recvmsg(fd, &mut parts, &mut ancillary, flags) else {
        return Answer::HungUp;
    };
    if got.bytes == 0 {
        return Answer::HungUp;
    }
    assert_eq!((got.bytes, &bytes[..4]), (64, b"HJRP".as_slice()));
    let fds = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => rights.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let fds = fds.collect();
    Answer::Reply {
        status: u16::from_le_bytes([bytes[8], bytes[9]]),
        quota: u16::from_le_bytes([bytes[10], bytes[11]]),
        fds,
    }
}

/// Connects, asks, waits for the answer; keep the connection to stay attached.
pub fn ask(path: &Path, message: &[u8]) -> (OwnedFd, Answer) {
    let fd = connect(path);
    send(&fd, message, &[]);
    let answer = answer(&fd, Duration::from_secs(5));
    (fd, answer)
}
