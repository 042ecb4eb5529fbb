//! The writer's side of the control sockets: one thread, poll, no trust in any client.
//!
//! A client can send garbage, never read, pass descriptors, connect a thousand times or stop in the middle: it costs
//! at most one of [`MAX_CLIENTS`] places, never the writer's time. Taps cannot use up the places of those who lease,
//! and clients cannot use up the process's descriptors.

#![expect(
    clippy::disallowed_types,
    reason = "flags between the threads of one process"
)]

use super::message::{LEN, Reply, Request, Status};
use super::{Door, socket_path};
use crate::hazard::{HazardPage, MAX_QUOTA, MAX_READERS, ReaderChange};
use crate::publisher::Publisher;
use crate::writer::SharedRing;
use crate::{Geometry, RingError, Topic};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Most connections at a time, both sockets together.
const MAX_CLIENTS: usize = 256;
/// Places of these that only clients of the lease socket get: a crowd of taps keeps none of them out.
const LEASE_PLACES: usize = 2 * MAX_READERS;
/// A client that connects and asks nothing is sent away after this.
const ASK_WITHIN: Duration = Duration::from_secs(2);
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Listening sockets that somebody else has opened, such as the service manager, one for each door. Both must be
/// SEQPACKET, listening and non-blocking.
///
/// ```
/// let none = hanja_ring::Listeners::default(); // the server binds its own
/// # let _ = none;
/// ```
#[derive(Debug, Default)]
pub struct Listeners {
    /// At [`Door::Lease`].
    pub lease: Option<OwnedFd>,
    /// At [`Door::Tap`].
    pub tap: Option<OwnedFd>,
}

/// The control sockets of one writing process, and the rings that they give away.
///
/// ```
/// use hanja_ring::{Geometry, Listeners, Server, Topic};
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// const PICTURES: Topic = Topic::new(1, "pictures");
/// const NUMBERS: Topic = Topic::new(2, "numbers");
/// let server = Server::start(directory, "camera", &[PICTURES, NUMBERS], Listeners::default())?;
/// let geometry = Geometry { slots: 8, meta_len: 16, payload_capacity: 1 << 20 };
/// let pictures = server.publisher(PICTURES, geometry)?; // who asks for NUMBERS still waits
/// assert_eq!(server.attached(), (0, 0));
/// # drop(pictures);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clones and publishers share them; the
/// last one closes them, and removes the files of those that were bound here.
#[derive(Clone, Debug)]
pub struct Server(Arc<Running>);

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Of the sockets bound here.
    paths: Vec<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    /// Numbers of the topics that are offered, or will be.
    topics: Vec<u16>,
    rings: Mutex<Vec<Arc<SharedRing>>>,
    wake: OwnedFd,
    stop: AtomicBool,
    leases: AtomicU32,
    taps: AtomicU32,
}

impl Shared {
    fn rings(&self) -> std::sync::MutexGuard<'_, Vec<Arc<SharedRing>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // The counter can only be full if nobody read it 2^64 times; a missed wake is repaired by the next tick.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Process id of whoever listens at `path` now; `None`: nobody, the file may be left over.
#[must_use]
pub fn listener(path: &Path) -> Option<i32> {
    let address = SocketAddrUnix::new(path).ok()?;
    let fd = seqpacket().ok()?;
    rustix::net::connect(&fd, &address).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&fd).ok()?;
    Some(peer.pid.as_raw_nonzero().get())
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

fn listen(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let fd = seqpacket()?;
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    rustix::net::bind(&fd, &address)?;
    rustix::fs::chmod(path, Mode::from_raw_mode(0o660))?;
    rustix::net::listen(&fd, 64)?;
    Ok(fd)
}

impl Server {
    /// Opens `NAME.sock` and `NAME-tap.sock` in `directory` and answers there, in a thread of its own. `topics` are those
    /// that the server has or will have: whoever asks for one of them waits until it is there, and is refused any other.
    ///
    /// `listeners` that were handed over stay as they are, with their permissions and their files. Others are bound, with
    /// mode 0660; left-over socket files are replaced: make sure first that [nobody listens](listener) on them.
    ///
    /// # Errors
    /// The directory cannot be written, its path is too long for a socket (107 bytes), or no thread can be had.
    pub fn start(
        directory: &Path,
        name: &str,
        topics: &[Topic],
        listeners: Listeners,
    ) -> io::Result<Self> {
        let mut paths = Vec::new();
        let mut open = |door, given: Option<OwnedFd>| match given {
            Some(fd) => Ok(fd),
            None => {
                let path = socket_path(directory, name, door);
                let fd = listen(&path)?;
                paths.push(path);
                Ok::<_, io::Error>(fd)
            }
        };
        let listeners = [
            open(Door::Lease, listeners.lease)?,
            open(Door::Tap, listeners.tap)?,
        ];
        let shared = Arc::new(Shared {
            topics: topics.iter().map(|t| t.number()).collect(),
            rings: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stop: AtomicBool::new(false),
            leases: AtomicU32::new(0),
            taps: AtomicU32::new(0),
        });
        let server = Service {
            shared: Arc::clone(&shared),
            listeners,
            clients: Vec::new(),
            most: most_clients(),
            departures: VecDeque::new(),
            next_id: 1,
            out_of_descriptors: false,
        };
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || server.serve())?;
        Ok(Self(Arc::new(Running {
            shared,
            thread: Some(thread),
            paths,
        })))
    }

    /// Opens a topic for writing, and gives it to whoever asks from now on. In place of an earlier publisher of the same
    /// topic, if there is one: its readers come over.
    ///
    /// # Errors
    /// No memory, a geometry outside its limits, or a topic that the server was not started with.
    pub fn publisher(&self, topic: Topic, geometry: Geometry) -> Result<Publisher, RingError> {
        if !self.0.shared.topics.contains(&topic.number()) {
            return Err(RingError::Unannounced(topic.name()));
        }
        Publisher::new(self.clone(), topic, geometry)
    }

    /// Serves `ring` from now on, in place of an earlier generation of its topic, whose clients are hung up on.
    pub(crate) fn offer(&self, ring: &Arc<SharedRing>) {
        let mut rings = self.0.shared.rings();
        rings.retain(|r| r.topic != ring.topic);
        rings.push(Arc::clone(ring));
        drop(rings);
        self.0.shared.wake();
    }

    /// Attached clients: those that lease, those that only tap.
    #[must_use]
    pub fn attached(&self) -> (u32, u32) {
        let now = |n: &AtomicU32| n.load(Ordering::Relaxed);
        (now(&self.0.shared.leases), now(&self.0.shared.taps))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[derive(Debug)]
struct Client {
    id: u64,
    fd: OwnedFd,
    door: Door,
    since: Instant,
    wants: Option<Request>,
    ring: Option<Arc<SharedRing>>,
    leases: bool,
}

/// The thread's own.
struct Service {
    shared: Arc<Shared>,
    listeners: [OwnedFd; 2],
    clients: Vec<Client>,
    most: usize,
    /// Leaving readers that the writer's mailbox had no room for yet.
    departures: VecDeque<(Arc<SharedRing>, u64)>,
    next_id: u64,
    /// Said already; until the next client that is let in.
    out_of_descriptors: bool,
}

/// Clients get at most half of the process's descriptors: its source, model and rings need theirs.
fn most_clients() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(usize::MAX, |n| (n / 2) as usize);
    MAX_CLIENTS.min(half)
}

impl Service {
    fn serve(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(e) => {
                    tracing::warn!("control socket: poll failed: {e}");
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            let mut drain = [0; 8];
            let _ = rustix::io::read(&self.shared.wake, &mut drain);
            self.read_clients(&ready[3..]);
            for (index, door) in [(0, Door::Lease), (1, Door::Tap)] {
                if !ready[1 + index].is_empty() {
                    self.accept(index, door);
                }
            }
            self.retire();
            self.answer();
            self.flush_departures();
            for ring in self.shared.rings().iter() {
                ring.readers.clear_returned();
            }
            self.count();
        }
    }

    fn count(&self) {
        let attached = || self.clients.iter().filter(|c| c.ring.is_some());
        let leases = attached().filter(|c| c.leases).count();
        let taps = attached().count() - leases;
        self.shared.leases.store(leases as u32, Ordering::Relaxed);
        self.shared.taps.store(taps as u32, Ordering::Relaxed);
    }

    /// Events of the wake-up descriptor, the two listeners, then the clients in order.
    fn wait(&self) -> io::Result<Vec<PollFlags>> {
        let fixed: [BorrowedFd<'_>; 3] = [
            self.shared.wake.as_fd(),
            self.listeners[0].as_fd(),
            self.listeners[1].as_fd(),
        ];
        let clients = self.clients.iter().map(|c| c.fd.as_fd());
        let mut fds: Vec<_> = fixed
            .into_iter()
            .chain(clients)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(fds.iter().map(PollFd::revents).collect()),
            Err(e) => Err(e.into()),
        }
    }

    fn accept(&mut self, listener: usize, door: Door) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Bounded, so that a storm of connects cannot keep the loop from its clients.
        for _ in 0..64 {
            match rustix::net::accept_with(&self.listeners[listener], flags) {
                Ok(fd) => {
                    self.out_of_descriptors = false;
                    let client = Client::new(self.next_id, fd, door);
                    self.next_id += 1;
                    if self.has_place(door) {
                        self.clients.push(client);
                    } else {
                        client.turn_away();
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return,
                Err(e) => {
                    if !self.out_of_descriptors {
                        tracing::warn!(
                            "control socket: nobody new is let in until this is over: {e}"
                        );
                    }
                    self.out_of_descriptors = true;
                    std::thread::sleep(Duration::from_millis(10)); // it stays readable: do not spin
                    return;
                }
            }
        }
    }

    fn has_place(&self, door: Door) -> bool {
        let taps = || self.clients.iter().filter(|c| c.door == Door::Tap).count();
        // Where there are few places in all, half are for leases.
        let for_taps = self.most - LEASE_PLACES.min(self.most / 2);
        self.clients.len() < self.most && (door == Door::Lease || taps() < for_taps)
    }

    fn read_clients(&mut self, events: &[PollFlags]) {
        let mut gone = Vec::new();
        for (client, event) in self.clients.iter_mut().zip(events) {
            let late = client.wants.is_none()
                && client.ring.is_none()
                && client.since.elapsed() > ASK_WITHIN;
            if late || (!event.is_empty() && !client.read(&self.shared.topics)) {
                gone.push(client.id);
            }
        }
        for id in gone {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(index) = self.clients.iter().position(|c| c.id == id) else {
            return;
        };
        let client = self.clients.swap_remove(index);
        if let (true, Some(ring)) = (client.leases, client.ring) {
            self.departures.push_back((ring, id));
        }
    }

    /// Hangs up on clients of rings that are no longer offered.
    fn retire(&mut self) {
        let rings = self.shared.rings().clone();
        let stale = |c: &Client| {
            c.ring
                .as_ref()
                .is_some_and(|r| !rings.iter().any(|now| Arc::ptr_eq(now, r)))
        };
        let gone: Vec<_> = self
            .clients
            .iter()
            .filter(|c| stale(c))
            .map(|c| c.id)
            .collect();
        for id in gone {
            self.remove(id);
        }
        self.departures
            .retain(|(ring, _)| rings.iter().any(|now| Arc::ptr_eq(now, ring)));
    }

    /// Attaches waiting clients whose topic is there.
    fn answer(&mut self) {
        let rings = self.shared.rings().clone();
        let mut refused = Vec::new();
        for index in 0..self.clients.len() {
            let Some(request) = self.clients[index].wants else {
                continue;
            };
            let Some(ring) = rings.iter().find(|r| r.topic.number() == request.topic) else {
                continue;
            };
            let reads =
                |c: &&Client| c.leases && c.ring.as_ref().is_some_and(|r| Arc::ptr_eq(r, ring));
            let readers = self.clients.iter().filter(reads).count();
            let client = &mut self.clients[index];
            if let Err(status) = client.attach(ring, request.quota, readers) {
                tracing::debug!("control socket: {} refused: {status}", ring.topic.name());
                client.send(&Reply::new(status, 0, 0, 0), &[]);
                refused.push(client.id);
            }
        }
        for id in refused {
            self.remove(id);
        }
    }

    fn flush_departures(&mut self) {
        while let Some((ring, id)) = self.departures.pop_front() {
            if ring.readers.push(ReaderChange::Detached(id)).is_err() {
                self.departures.push_front((ring, id));
                return;
            }
        }
    }
}

impl Client {
    fn new(id: u64, fd: OwnedFd, door: Door) -> Self {
        Self {
            id,
            fd,
            door,
            since: Instant::now(),
            wants: None,
            ring: None,
            leases: false,
        }
    }

    /// Tells a client that there is no place for it, and hangs up.
    fn turn_away(self) {
        // A socket closed with an unread message gives the other side ECONNRESET in place of our reply.
        let _ = rustix::net::recv(&self.fd, &mut [0; LEN], RecvFlags::DONTWAIT);
        self.send(&Reply::new(Status::Full, 0, 0, 0), &[]);
    }

    /// Takes a request in; false: the client is gone or not worth keeping.
    fn read(&mut self, topics: &[u16]) -> bool {
        let mut buffer = [0; LEN + 1];
        // Plain recv: descriptors a client passes along are closed by the kernel.
        let len = match rustix::net::recv(&self.fd, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((_, len)) => len,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return true,
            Err(_) => return false,
        };
        if len == 0 || self.wants.is_some() || self.ring.is_some() {
            return false;
        }
        let request = Request::parse(&buffer[..len]).and_then(|request| {
            let known = topics.contains(&request.topic);
            known.then_some(request).ok_or(Status::Topic)
        });
        match request {
            Ok(request) => {
                self.wants = Some(request);
                true
            }
            Err(status) => {
                self.send(&Reply::new(status, 0, 0, 0), &[]);
                false
            }
        }
    }

    fn attach(&mut self, ring: &Arc<SharedRing>, quota: u16, readers: usize) -> Result<(), Status> {
        if quota == 0 {
            let reply = Reply::new(Status::Ok, 0, ring.generation, ring.total_len);
            if !self.send(&reply, &[ring.fd()]) {
                return Err(Status::Resources);
            }
        } else {
            if self.door != Door::Lease || !self.may_lease() {
                return Err(Status::Forbidden);
            }
            if readers >= MAX_READERS {
                return Err(Status::Full);
            }
            let quota = u32::from(quota).min(MAX_QUOTA);
            let (fd, page) = HazardPage::create(quota).map_err(|_| Status::Resources)?;
            // The writer must be able to see the page before its reader can use it.
            ring.readers
                .push(ReaderChange::Attached(self.id, page))
                .map_err(|_| Status::Full)?;
            self.leases = true;
            self.ring = Some(Arc::clone(ring));
            let reply = Reply::new(Status::Ok, quota as u16, ring.generation, ring.total_len);
            if !self.send(&reply, &[ring.fd(), fd.as_fd()]) {
                return Err(Status::Resources);
            }
        }
        self.wants = None;
        self.ring = Some(Arc::clone(ring));
        Ok(())
    }

    /// The socket's permissions already decided who connects; this holds even if somebody widens them.
    fn may_lease(&self) -> bool {
        let Ok(peer) = rustix::net::sockopt::socket_peercred(&self.fd) else {
            return false;
        };
        let same_user = peer.uid == rustix::process::geteuid() || peer.uid.is_root();
        same_user || peer.gid == rustix::process::getegid()
    }

    fn send(&self, reply: &Reply, fds: &[BorrowedFd<'_>]) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return false;
        }
        let bytes = [IoSlice::new(reply.as_bytes())];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::sendmsg(&self.fd, &bytes, &mut ancillary, flags).is_ok()
    }
}
