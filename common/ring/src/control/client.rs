//! The reader's side of the control socket: attach, notice that the writer is gone, attach again.

use super::message::{LEN, Reply, Request};
use super::{Door, socket_path};
use crate::Topic;
use crate::reader::RingReader;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// What a failure to attach tells people to do. Empty where there is nothing to say: the ring does not know how its
/// servers are started, nor who may read them.
///
/// ```
/// let advice = hanja_ring::Advice { absent: "start it with: camera --serve", denied: "" };
/// # let _ = advice;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Advice {
    /// Where nobody listens.
    pub absent: &'static str,
    /// Where the socket is not ours to open.
    pub denied: &'static str,
}

/// Whose topic.
#[derive(Clone, Debug)]
pub(crate) struct Address<'a> {
    /// Of the sockets.
    pub(crate) directory: &'a Path,
    pub(crate) server: &'a str,
    pub(crate) topic: Topic,
    pub(crate) advice: Advice,
}

/// How often an absent writer is looked for. Cheap (one failed connect), and part of the time to recover.
const RETRY: Duration = Duration::from_millis(20);
/// A server that is being stopped, or started again, hangs up on those who wait for it. One that does so for longer is
/// broken.
const HANG_UPS_ALLOWED: Duration = Duration::from_secs(1);

/// What is at the other end, as far as a reader without a ring can tell.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let mut tap = TapSubscriber::new(directory.path(), "camera", topic, Advice::default());
/// # let mut sample = Sample::default();
/// assert_eq!(tap.presence(), Presence::Unknown);
/// tap.next(&mut sample, std::time::Duration::ZERO);
/// assert_eq!(tap.presence(), Presence::Absent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Not looked yet.
    #[default]
    Unknown,
    /// A ring is attached. Its writer may have left a moment ago.
    Attached,
    /// Somebody listens but has not answered: the server starts and does not have the topic yet, or it is stopped.
    Silent {
        /// The process that opened the socket: the server, or the service manager on its behalf.
        pid: Option<i32>,
    },
    /// Nobody listens: the server does not run.
    Absent,
    /// It cannot be read, and why: no permission, another release.
    Refused(String),
}

/// Why a try to attach brought no ring.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the server hung up")]
    HungUp,
    #[error("{0}")]
    Other(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::Other(reason)
    }
}

/// A connection to one topic that renews itself.
#[derive(Debug)]
pub(crate) struct Link {
    path: PathBuf,
    topic: Topic,
    advice: Advice,
    quota: u16,
    state: State,
    /// Why the last try to attach failed; `None`: it did not.
    problem: Option<String>,
    /// The server's answer was no use, which has been said in the log.
    complained: bool,
    /// Nobody listened at the last try.
    absent: bool,
    /// When the first try of many was in vain although somebody listened.
    in_vain_since: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Away {
        retry_at: Option<Instant>,
    },
    Asked {
        socket: OwnedFd,
    },
    Attached {
        socket: OwnedFd,
        ring: Arc<RingReader>,
    },
}

impl Link {
    /// `quota` 0: a tap.
    pub(crate) fn new(address: &Address<'_>, quota: u16) -> Self {
        let door = if quota == 0 { Door::Tap } else { Door::Lease };
        Self {
            path: socket_path(address.directory, address.server, door),
            topic: address.topic,
            advice: address.advice,
            quota,
            state: State::Away { retry_at: None },
            problem: None,
            complained: false,
            absent: false,
            in_vain_since: None,
        }
    }

    pub(crate) fn attached(&self) -> bool {
        matches!(self.state, State::Attached { .. })
    }

    /// What is at the other end.
    pub(crate) fn presence(&self) -> Presence {
        match (&self.state, &self.problem) {
            (State::Attached { .. }, _) => Presence::Attached,
            _ if self.absent => Presence::Absent,
            (_, Some(reason)) => Presence::Refused(reason.clone()),
            (State::Asked { socket }, None) => {
                let peer = rustix::net::sockopt::socket_peercred(socket).ok();
                let pid = peer.map(|p| p.pid.as_raw_nonzero().get());
                Presence::Silent { pid }
            }
            (State::Away { .. }, None) => Presence::Unknown,
        }
    }

    /// Whether why there is no ring stands in the log.
    pub(crate) fn complained(&self) -> bool {
        self.complained && !self.attached()
    }

    /// Why there is no ring, with the socket's path; `None` when attached, or before the first try.
    pub(crate) fn problem(&self) -> Option<String> {
        let reason = match (&self.state, &self.problem) {
            (State::Attached { .. }, _) => return None,
            (State::Asked { .. }, None) => "connected, but the server does not have this topic yet",
            (_, reason) => reason.as_deref()?,
        };
        let (path, topic) = (self.path.display(), self.topic.name());
        Some(format!("{path} ({topic}): {reason}"))
    }

    /// The attached ring.
    pub(crate) fn current(&self) -> Option<&Arc<RingReader>> {
        match &self.state {
            State::Attached { ring, .. } => Some(ring),
            _ => None,
        }
    }

    /// The attached ring; tries to attach for at most `timeout`.
    pub(crate) fn ring(&mut self, timeout: Duration) -> Option<Arc<RingReader>> {
        let deadline = Instant::now() + timeout;
        loop {
            match &self.state {
                State::Attached { ring, .. } => return Some(Arc::clone(ring)),
                State::Away { retry_at } => {
                    let wait = retry_at.map_or(Duration::ZERO, |t| {
                        t.saturating_duration_since(Instant::now())
                    });
                    let left = deadline.saturating_duration_since(Instant::now());
                    if wait > left {
                        std::thread::sleep(left);
                        return None;
                    }
                    std::thread::sleep(wait);
                    self.state = match self.ask() {
                        Ok(socket) => {
                            self.absent = false;
                            if !self.complained {
                                self.problem = None; // somebody is there again
                            }
                            State::Asked { socket }
                        }
                        Err(e) => {
                            self.cannot_connect(&e);
                            Self::away()
                        }
                    };
                }
                State::Asked { socket } => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !readable(socket, left) {
                        return None;
                    }
                    self.receive();
                }
            }
        }
    }

    /// Has the writer hung up? Looks without waiting.
    pub(crate) fn hung_up(&self) -> bool {
        match &self.state {
            State::Attached { socket, .. } => readable(socket, Duration::ZERO),
            _ => true,
        }
    }

    /// Lets go of the ring; the next [`ring`](Self::ring) attaches anew.
    pub(crate) fn detach(&mut self) {
        // No wait before the first try: a writer that renews its ring is there already.
        self.state = State::Away { retry_at: None };
    }

    fn away() -> State {
        State::Away {
            retry_at: Some(Instant::now() + RETRY),
        }
    }

    /// An absent server is waited for in silence, as one with too many callers is; anything else is said.
    fn cannot_connect(&mut self, e: &io::Error) {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, WouldBlock};
        self.absent = matches!(e.kind(), NotFound | ConnectionRefused);
        match e.kind() {
            NotFound | ConnectionRefused => {
                self.problem = Some(advised("the server does not run", "; ", self.advice.absent));
                (self.complained, self.in_vain_since) = (false, None);
            }
            WouldBlock => self.problem = Some(e.to_string()),
            PermissionDenied => {
                self.complain(advised(&e.to_string(), ": ", self.advice.denied).into());
            }
            _ => self.complain(e.to_string().into()),
        }
    }

    /// Says why, once per outage: the retries go on 50 times a second.
    fn complain(&mut self, failure: Failure) {
        let since = *self.in_vain_since.get_or_insert_with(Instant::now);
        let usual = matches!(failure, Failure::HungUp) && since.elapsed() < HANG_UPS_ALLOWED;
        if !usual && !std::mem::replace(&mut self.complained, true) {
            let (path, topic) = (self.path.display(), self.topic.name());
            tracing::warn!("{path} ({topic}): {failure}; trying again");
        }
        self.problem = Some(failure.to_string());
    }

    fn ask(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        let request = Request::new(self.topic, self.quota);
        match rustix::net::send(&socket, request.as_bytes(), SendFlags::NOSIGNAL) {
            // Turned away before we asked: the reply says why.
            Ok(_) | Err(Errno::PIPE) => Ok(socket),
            Err(e) => Err(e.into()),
        }
    }

    fn receive(&mut self) {
        let State::Asked { socket } = std::mem::replace(&mut self.state, Self::away()) else {
            return;
        };
        match self.attach(&socket) {
            Ok(ring) => {
                (self.problem, self.complained, self.in_vain_since) = (None, false, None);
                self.state = State::Attached { socket, ring };
            }
            Err(failure) => self.complain(failure),
        }
    }

    fn attach(&self, socket: &OwnedFd) -> Result<Arc<RingReader>, Failure> {
        let mut bytes = [0; LEN + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            flags,
        );
        let got = match got {
            Err(Errno::CONNRESET) => return Err(Failure::HungUp), // our request unread
            other => other.map_err(|e| e.to_string())?,
        };
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if got.bytes == 0 {
            return Err(Failure::HungUp);
        }
        let reply = Reply::parse(&bytes[..got.bytes]).map_err(|s| s.to_string())?;
        let hazard = match (self.quota, fds.as_slice()) {
            (0, [_]) => None,
            (1.., [_, hazard]) => Some((hazard.as_fd(), u32::from(reply.quota))),
            _ => return Err(format!("a reply with {} descriptors", fds.len()).into()),
        };
        let ring =
            RingReader::map(fds[0].as_fd(), hazard, self.topic).map_err(|e| e.to_string())?;
        // (A3)
        if (reply.generation, reply.total_len) != (ring.generation(), ring.total_len()) {
            let reason = "the reply describes another ring than the one it brings";
            return Err(reason.to_owned().into());
        }
        Ok(ring)
    }
}

fn advised(fact: &str, link: &str, advice: &str) -> String {
    let link = if advice.is_empty() { "" } else { link };
    format!("{fact}{link}{advice}")
}

/// Whether a message, a hang-up or an error is there within `timeout`.
fn readable(socket: &OwnedFd, timeout: Duration) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    matches!(poll(&mut fds, Some(&timeout)), Ok(n) if n > 0)
}
